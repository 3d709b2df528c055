/** The hooks that run in the arbiter. They are the operator's code, and the only code here that is not ours. */

import { monocerosError } from '../errors.ts'
import { type Hook, type HookTable, loadHooks } from '../hooks/load.ts'
import { HOOK_NAMES, type HookName, WORKER_HOOKS } from '../hooks/table.ts'
import type { HookArbiter, SpawnAdditions } from '../hooks/types.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import type { System } from '../process/system.ts'
import type { ResolvedConfig } from '../settings/config.ts'
import { displayAddress } from './generation.ts'
import type { Rollout } from './rollout.ts'
import type { WorkerCount } from './worker-count.ts'
import type { Workers } from './workers.ts'

export interface HookResult {
  readonly hasFailed: boolean
  readonly value: unknown
}

const NO_HOOK: HookResult = { hasFailed: false, value: undefined }

export class ArbiterHooks {
  readonly #log: Logger
  readonly #loaded = new WeakMap<object, HookTable>()
  #activeHooks: HookTable = new Map()
  #server: HookArbiter | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /** Loads what settings name as modules; `use` takes it later, if the settings prove good. */
  async load({ values, file }: ResolvedConfig): Promise<void> {
    const functions = WORKER_HOOKS.filter((name) => typeof values[name] === 'function')
    const [first] = functions
    if (first !== undefined && file === undefined) throw monocerosError('ERR_HOOK_FUNCTION', first)
    const own = HOOK_NAMES.filter((name) => !WORKER_HOOKS.includes(name))
    const given = Object.fromEntries(own.map((name) => [name, values[name]]))
    this.#loaded.set(values, await loadHooks(given, values.chdir))
  }

  /** What makes the options of TLS by these settings, if they have such a hook. */
  findSslContextHook(values: ResolvedConfig['values']): Hook | undefined {
    return this.#loaded.get(values)?.get('ssl_context')
  }

  /** From now on the hooks are those of these settings. */
  activate(values: ResolvedConfig['values']): void {
    this.#activeHooks = this.#loaded.get(values) ?? new Map()
  }

  /** What hooks are given as `server`. */
  connectServer(facts: HookServerSources): void {
    this.#server = createHookServer(this.#log, facts)
  }

  /** The hooks of the start, before anything listens. */
  async runStartHooks({ values }: ResolvedConfig, wanted: number): Promise<void> {
    this.activate(values)
    await this.callAndWait(values, 'nworkers_changed', wanted, null)
    await this.callAndWait(values, 'on_starting')
  }

  /**
   * From now on an error of a timer or a promise that a hook has left behind is logged, which is no reason to end a server
   * that serves; until the returned function is called.
   */
  logUncaughtErrors(system: System): () => void {
    return system.onUncaught((thrown) => {
      // A program with the arbiter in it may listen itself: then it decides.
      if (system.countListeners('uncaughtException') > 1) return
      logThrown(this.#log, { name: 'unexpectedError', thrown })
    })
  }

  /** The last hook; a promise is waited for, but not for ever, and not any more when a quick stop is asked for. */
  async runExitHook(system: System, quit: Promise<void>): Promise<void> {
    const { value } = this.call('on_exit')
    if (!(value instanceof Promise)) return
    let cancel = () => {}
    // A timer that holds the process: what the hook waits for need not.
    const late = new Promise<void>((done) => {
      cancel = system.after(Number(this.#server?.cfg.graceful_timeout) * 1_000, done)
    })
    await Promise.race([value.catch(() => {}), late, quit]).finally(() => cancel())
  }

  /** Calls a hook of these settings, used or not yet, and waits for it; what it throws or rejects with is an error. */
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

  /** Calls a hook, if there is one. What it throws or rejects with is logged. */
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

  /** What `pre_fork` adds to a worker. */
  callPreFork(age: number, ppid: number): SpawnAdditions {
    const { value } = this.call('pre_fork', { pid: 0, ppid, age })
    return typeof value === 'object' && value !== null ? value : {}
  }

  #logFailure(name: HookName, thrown: unknown): void {
    logThrown(this.#log, { name: 'hookFailed', thrown }, name)
  }
}

/** What the arbiter consists of, as far as hooks may see it. */
export interface HookServerSources {
  readonly system: System
  readonly workers: Workers
  readonly rollout: Rollout
  readonly workerCount: WorkerCount
  readonly settings: ResolvedConfig
}

/** The arbiter as its hooks see it: always of this moment. */
function createHookServer(log: Logger, facts: HookServerSources): HookArbiter {
  const { system, workers, rollout, workerCount, settings } = facts
  const config = () => rollout.current?.config ?? settings.values
  const addresses = () => {
    const { current } = rollout
    return current?.listeners.map((listener) => displayAddress(listener, current)) ?? []
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
