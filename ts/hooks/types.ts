/** Arguments of hooks. The names are Gunicorn's, so that a config file can be ported. */

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Logger } from '../log/logger.ts'
import type { ProgramTlsOptions, SettingsTlsOptions } from '../tls/options.ts'
import type { HookName } from './table.ts'

/** The arbiter as a hook in any process sees it. */
export interface HookServer {
  readonly pid: number
  readonly log: Logger
  /** All settings by name. */
  readonly cfg: Readonly<Record<string, unknown>>
  /** Number of workers that are wanted. */
  readonly num_workers: number
  readonly timeout: number
  /** Addresses that the arbiter listens on. */
  readonly address: readonly string[]
}

/** The arbiter as a hook in the arbiter sees it. */
export interface HookArbiter extends HookServer {
  readonly LISTENERS: readonly string[]
  /** The running workers by process id. */
  readonly WORKERS: ReadonlyMap<number, HookWorker>
  /** Sends a signal to a worker: `kill_worker(pid, 'TERM')`. */
  kill_worker(pid: number, signal: 'TERM' | 'QUIT' | 'INT' | 'ABRT' | 'KILL'): void
}

/** A worker as a hook in the arbiter sees it. */
export interface HookWorker {
  /** Process id; 0 before the process is started. */
  readonly pid: number
  readonly ppid: number
  /** Ordinal number among all workers ever started: the lower, the older. */
  readonly age: number
}

/** A worker as a hook in its own process sees it. */
export interface HookOwnWorker extends HookWorker {
  /** Number of requests served. */
  readonly nr: number
  /** Number of requests after which the worker is replaced; 0 means never. */
  readonly max_requests: number
  /** True while the worker accepts requests. */
  readonly alive: boolean
  readonly log: Logger
  readonly cfg: Readonly<Record<string, unknown>>
  readonly sockets: readonly string[]
  /** Sends a heartbeat, for an application that blocks the event loop on purpose. */
  notify(): void
}

/** What the hook `pre_fork` adds to a worker that is about to start. */
export interface SpawnAdditions {
  readonly env?: Readonly<Record<string, string>>
}

/** The request: an `http.IncomingMessage`, or the `Request` of a fetch application. */
export type HookRequest = IncomingMessage | Request
export type HookResponse = ServerResponse | Response | undefined

type Done = void | Promise<void>

/** Hooks that a config file may define. */
export interface HookFunctions extends Record<HookName, (...details: never[]) => unknown> {
  on_starting(server: HookArbiter): Done
  on_reload(server: HookArbiter): Done
  when_ready(server: HookArbiter): Done
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook may return nothing.
  pre_fork(server: HookArbiter, worker: HookWorker): void | SpawnAdditions
  post_fork(server: HookServer, worker: HookOwnWorker): Done
  post_worker_init(worker: HookOwnWorker): Done
  worker_int(worker: HookOwnWorker): void
  worker_abort(worker: HookOwnWorker): void
  pre_exec(server: HookArbiter): void
  pre_request(worker: HookOwnWorker, req: HookRequest): void
  post_request(
    worker: HookOwnWorker,
    req: HookRequest,
    environ: Readonly<Record<string, string>>,
    resp: HookResponse,
  ): void
  child_exit(server: HookArbiter, worker: HookWorker): void
  worker_exit(server: HookServer, worker: HookOwnWorker): Done
  nworkers_changed(server: HookArbiter, new_value: number, old_value: number | null): void
  ssl_context(
    config: Readonly<Record<string, unknown>>,
    default_ssl_context_factory: () => SettingsTlsOptions,
  ): ProgramTlsOptions
  on_exit(server: HookArbiter): Done
}
