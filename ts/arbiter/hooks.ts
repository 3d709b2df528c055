/**
 * Hooks that run in the arbiter. They are the operator's code, and the only foreign code in this
 * process.
 */

import { monocerosError } from '../errors.ts'
import { type Hook, type HookTable, loadHooks } from '../hooks/load.ts'
import { HOOK_NAMES, type HookName, WORKER_HOOKS } from '../hooks/table.ts'
import type { HookArbiter, SpawnAdditions } from '../hooks/types.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import type { System } from '../process/system.ts'
import type { ResolvedConfig } from '../settings/config.ts'
import { formatListenerAddress } from './generation.ts'
import type { Rollout } from './rollout.ts'
import type { WorkerCount } from './worker-count.ts'
import type { Workers } from './workers.ts'

/** Outcome of a hook call; `value` is what the hook returned. */
export interface HookResult {
  readonly hasFailed: boolean
  readonly value: unknown
}

const NO_HOOK: HookResult = { hasFailed: false, value: undefined }

/** Loads and calls the hooks of the arbiter. */
export class ArbiterHooks {
  readonly #log: Logger
  readonly #loaded = new WeakMap<object, HookTable>()
  #activeHooks: HookTable = new Map()
  #server: HookArbiter | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Loads the hooks that the settings name as modules. `activate` makes them current once the
   * settings have proved good.
   */
  async load({ values, file }: ResolvedConfig): Promise<void> {
    const functions = WORKER_HOOKS.filter((name) => typeof values[name] === 'function')
    const [first] = functions
    if (first !== undefined && file === undefined) throw monocerosError('ERR_HOOK_FUNCTION', first)
    const own = HOOK_NAMES.filter((name) => !WORKER_HOOKS.includes(name))
    const given = Object.fromEntries(own.map((name) => [name, values[name]]))
    this.#loaded.set(values, await loadHooks(given, values.chdir))
  }

  /** Returns the hook `ssl_context` of these settings, if it is set. */
  findSslContextHook(values: ResolvedConfig['values']): Hook | undefined {
    return this.#loaded.get(values)?.get('ssl_context')
  }

  /** Makes the hooks of these settings the current ones. */
  activate(values: ResolvedConfig['values']): void {
    this.#activeHooks = this.#loaded.get(values) ?? new Map()
  }

  /** Creates the object that hooks receive as `server`. */
  connectServer(sources: HookServerSources): void {
    this.#server = createHookServer(this.#log, sources)
  }

  /** Calls the hooks of the start, before the first address is opened. */
  async runStartHooks({ values }: ResolvedConfig, wanted: number): Promise<void> {
    this.activate(values)
    await this.callAndWait(values, 'nworkers_changed', wanted, null)
    await this.callAndWait(values, 'on_starting')
  }

  /**
   * Logs errors that timers and promises of a hook throw later, so that they do not stop the
   * server. The returned function ends this.
   */
  logUncaughtErrors(system: System): () => void {
    return system.onUncaught((thrown) => {
      // A program that embeds the arbiter may listen to this event: then its listener decides.
      if (system.countListeners('uncaughtException') > 1) return
      logThrown(this.#log, { name: 'unexpectedError', thrown })
    })
  }

  /**
   * Calls the hook `on_exit`. A promise is awaited for `graceful_timeout`, or until a quick stop is
   * requested.
   */
  async runExitHook(system: System, quit: Promise<void>): Promise<void> {
    const { value } = this.call('on_exit')
    if (!(value instanceof Promise)) return
    let cancel = () => {}
    // This timer keeps the process alive; what the hook awaits may not.
    const late = new Promise<void>((done) => {
      cancel = system.after(Number(this.#server?.cfg.graceful_timeout) * 1_000, done)
    })
    // `call` logs a rejection.
    const settled = value.catch(() => {})
    await Promise.race([settled, late, quit]).finally(() => cancel())
  }

  /**
   * Calls a hook of these settings, current or not, and awaits it. Throws ERR_HOOK_FAILED if the
   * hook throws or rejects.
   */
  async callAndWait(
    values: ResolvedConfig['values'],
    name: HookName,
    ...details: unknown[]
  ): Promise<void> {
    try {
      await this.#loaded.get(values)?.get(name)?.(this.#server, ...details)
    } catch (thrown) {
      throw monocerosError('ERR_HOOK_FAILED', name, describeThrown(thrown)).withCause(thrown)
    }
  }

  /** Calls a current hook, if it is set. An error or a rejection is logged. */
  call(name: HookName, ...details: unknown[]): HookResult {
    const hook = this.#activeHooks.get(name)
    if (hook === undefined) return NO_HOOK
    try {
      const value = hook(this.#server, ...details)
      if (value instanceof Promise) value.catch((thrown) => this.#logFailure(name, thrown))
      return { hasFailed: false, value }
    } catch (thrown) {
      this.#logFailure(name, thrown)
      return { hasFailed: true, value: undefined }
    }
  }

  /** Calls `pre_fork` and returns what it adds to the worker. */
  callPreFork(age: number, ppid: number): SpawnAdditions {
    const { value } = this.call('pre_fork', { pid: 0, ppid, age })
    return typeof value === 'object' && value !== null ? value : {}
  }

  #logFailure(name: HookName, thrown: unknown): void {
    logThrown(this.#log, { name: 'hookFailed', thrown }, name)
  }
}

/** Parts of the arbiter that the `server` object of hooks reads. */
export interface HookServerSources {
  readonly system: System
  readonly workers: Workers
  readonly rollout: Rollout
  readonly workerCount: WorkerCount
  readonly settings: ResolvedConfig
}

/** Creates the `server` object of hooks. Its properties always show the current state. */
function createHookServer(log: Logger, sources: HookServerSources): HookArbiter {
  const { system, workers, rollout, workerCount, settings } = sources
  const config = () => rollout.currentGeneration?.config ?? settings.values
  const addresses = () => {
    const { currentGeneration } = rollout
    return (
      currentGeneration?.listeners.map((listener) =>
        formatListenerAddress(listener, currentGeneration),
      ) ?? []
    )
  }
  return {
    log,
    pid: system.pid,
    get cfg() {
      return config()
    },
    get num_workers() {
      return workerCount.wanted
    },
    get timeout() {
      return config().timeout
    },
    get address() {
      return addresses()
    },
    get LISTENERS() {
      return addresses()
    },
    get WORKERS() {
      return new Map(
        workers.list().map(({ pid, age }) => [pid, { pid, age, ppid: system.pid }] as const),
      )
    },
    kill_worker: (pid, signal) => void system.kill(pid, signal),
  }
}
