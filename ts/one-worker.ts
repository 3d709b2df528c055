/**
 * `runInOneWorker`: work that exactly one worker does, such as a schedule or the consumer of a
 * queue. The worker (`ts/worker/one-worker.ts`) decides when the work runs; a process without
 * Monoceros runs it at once.
 */

import { getEnvironmentData } from 'node:worker_threads'
import { monocerosError } from './errors.ts'

/**
 * Work of one worker. It must have stopped when the signal aborts and the promise that it has
 * returned, if any, is settled. Then another worker may begin.
 */
export type OneWorkerFunction = (signal: AbortSignal) => unknown

/**
 * Runs `work` in exactly one of the workers. Every worker may call this; the arbiter chooses the
 * worker that runs it. Without Monoceros the work runs soon after the call.
 */
export function runInOneWorker(work: OneWorkerFunction): void {
  const found: unknown = Reflect.get(globalThis, ONE_WORKER)
  if (isRunner(found)) return found.add(work)
  // A thread has globals of its own, and one thread of every worker would run the work.
  if (getEnvironmentData(ONE_WORKER_KEY) !== undefined)
    throw monocerosError('ERR_ONE_WORKER_THREAD')
  setImmediate(() => work(new AbortController().signal))
}

/** What a worker provides to every copy of this package that its application loads. */
export interface OneWorkerRunner {
  add(work: OneWorkerFunction): void
}

/** Makes `runInOneWorker` add to this runner, in all copies of the package in this process. */
export function provideOneWorkerRunner(runner: OneWorkerRunner): void {
  Object.defineProperty(globalThis, ONE_WORKER, { value: runner, configurable: true })
}

function isRunner(value: unknown): value is OneWorkerRunner {
  return typeof value === 'object' && value !== null && 'add' in value
}

const ONE_WORKER = Symbol.for('monoceros.oneWorker')

/** Key of `setEnvironmentData`, which the threads of a worker inherit. */
export const ONE_WORKER_KEY = 'monoceros.oneWorker'
