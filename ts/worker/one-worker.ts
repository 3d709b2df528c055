/**
 * The work that exactly one worker does, in this worker. The arbiter names the worker that leads
 * (`ts/arbiter/leadership.ts`); a worker leads at most once, and stops by itself when it drains or
 * exits.
 */

import { resolve } from 'node:path'
import { setEnvironmentData } from 'node:worker_threads'

import { MonocerosError, monocerosError } from '../errors.ts'
import { describeThrown } from '../log/thrown-value.ts'
import {
  ONE_WORKER_KEY,
  type OneWorkerFunction,
  type OneWorkerRunner,
  provideOneWorkerRunner,
} from '../one-worker.ts'
import type { Config } from '../settings/config.ts'
import { loadModule } from '../settings/load.ts'
import { parseApplicationPath } from './app.ts'
import type { Channel } from './channel.ts'

/** The work of one worker that the application of this process has named. */
export class OneWorker implements OneWorkerRunner {
  readonly #channel: Channel
  readonly #works: OneWorkerFunction[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #controller = new AbortController()
  #state: 'waiting' | 'leading' | 'stopped' = 'waiting'

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Adds work. The first one offers this worker to the arbiter. */
  add(work: OneWorkerFunction): void {
    if (typeof work !== 'function') throw monocerosError('ERR_ONE_WORKER_FUNCTION', typeof work)
    this.#works.push(work)
    if (this.#works.length === 1) this.#channel.send({ type: 'canLead' })
    if (this.#state === 'leading') this.#start(work)
  }

  /** Starts the work: no other worker does it. */
  lead(): void {
    // The worker began to stop before the message arrived.
    if (this.#state === 'stopped') return this.#channel.send({ type: 'stoppedLeading' })
    if (this.#state === 'leading') return
    this.#state = 'leading'
    for (const work of this.#works) this.#start(work)
  }

  /** Aborts the work, and notifies the arbiter when it has ended. */
  stop(): void {
    if (this.#state === 'stopped') return
    const wasLeading = this.#state === 'leading'
    this.#state = 'stopped'
    this.#controller.abort()
    if (wasLeading) {
      void this.waitUntilEnded().then(() => this.#channel.send({ type: 'stoppedLeading' }))
    }
  }

  /** Resolves when no work is running. */
  async waitUntilEnded(): Promise<void> {
    await Promise.all(this.#running)
  }

  #start(work: OneWorkerFunction): void {
    // The promise of `finally` rejects with an error of the work, and nothing handles that: it is
    // an uncaught error of the application, as without Monoceros.
    const ended = new Promise<void>((done) => void this.#run(work).finally(done))
    this.#running.add(ended)
    void ended.then(() => this.#running.delete(ended))
  }

  async #run(work: OneWorkerFunction): Promise<void> {
    const { signal } = this.#controller
    try {
      await work(signal)
    } catch (thrown) {
      if (!signal.aborted || !isAbortError(thrown)) throw thrown
    }
  }
}

/** Awaited timers and requests reject with this error when their signal aborts. */
function isAbortError(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError'
}

/** Lets `runInOneWorker` reach this worker. Call before the application is loaded. */
export function provideOneWorker(channel: Channel): OneWorker {
  const oneWorker = new OneWorker(channel)
  provideOneWorkerRunner(oneWorker)
  setEnvironmentData(ONE_WORKER_KEY, true)
  return oneWorker
}

/** Loads the function that the setting `one_worker` names; throws ERR_ONE_WORKER_LOAD. */
export async function loadOneWorkerFunction({
  one_worker: spec,
  chdir,
}: Config): Promise<OneWorkerFunction | undefined> {
  if (spec === null) return undefined
  const { path, exportName = 'default' } = parseApplicationPath(spec)
  let exports: unknown
  try {
    exports = await loadModule(resolve(chdir, path))
  } catch (thrown) {
    if (thrown instanceof MonocerosError) throw thrown
    throw monocerosError('ERR_ONE_WORKER_LOAD', spec, describeThrown(thrown)).withCause(thrown)
  }
  // `default` holds the exports of a CommonJS module.
  const found =
    findExport(exports, exportName) ?? findExport(findExport(exports, 'default'), exportName)
  if (isFunction(found)) return found
  throw monocerosError('ERR_ONE_WORKER_LOAD', spec, `the export "${exportName}" is not a function`)
}

function isFunction(value: unknown): value is OneWorkerFunction {
  return typeof value === 'function'
}

function findExport(holder: unknown, name: string): unknown {
  const holds = (typeof holder === 'object' || typeof holder === 'function') && holder !== null
  return holds ? Reflect.get(holder, name) : undefined
}
