/** What hooks are called with. The names are Gunicorn's, so that a config file can be carried over. */

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Logger } from '../log/logger.ts'
import type { ProgramTlsOptions, SettingsTlsOptions } from '../tls/options.ts'
import type { HookName } from './table.ts'

/** The arbiter, as hooks see it. */
export interface HookServer {
  readonly pid: number
  readonly log: Logger
  /** All settings. */
  readonly cfg: Readonly<Record<string, unknown>>
  /** How many workers are wanted. */
  readonly num_workers: number
  readonly timeout: number
  /** Where it listens. */
  readonly address: readonly string[]
}

/** The arbiter in its own process. */
export interface HookArbiter extends HookServer {
  readonly LISTENERS: readonly string[]
  /** The workers by process id. */
  readonly WORKERS: ReadonlyMap<number, HookWorker>
  /** Sends a signal to a worker: `kill_worker(pid, 'TERM')`. */
  kill_worker(pid: number, signal: 'TERM' | 'QUIT' | 'INT' | 'ABRT' | 'KILL'): void
}

/** A worker; in the arbiter it has no more than these facts. */
export interface HookWorker {
  /** 0 before it is started. */
  readonly pid: number
  readonly ppid: number
  /** Counts all workers ever started: the smaller, the older. */
  readonly age: number
}

/** A worker in its own process. */
export interface HookOwnWorker extends HookWorker {
  /** Requests served. */
  readonly nr: number
  /** Requests after which it is replaced; 0 for never. */
  readonly max_requests: number
  /** Whether it takes requests. */
  readonly alive: boolean
  readonly log: Logger
  readonly cfg: Readonly<Record<string, unknown>>
  readonly sockets: readonly string[]
  /** Beats, for an application that blocks the event loop on purpose. */
  notify(): void
}

/** Additions to a worker that is about to be started. */
export interface SpawnAdditions {
  readonly env?: Readonly<Record<string, string>>
}

/** The request: `http.IncomingMessage`, or `Request` of a fetch application. */
export type HookRequest = IncomingMessage | Request
export type HookResponse = ServerResponse | Response | undefined

type Done = void | Promise<void>

/** The functions that a config file may have. */
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
