/**
 * The interface that both engines serve: the native one (Rust) and the one on node:http. The worker
 * knows nothing else of them.
 */
import type { Server } from 'node:http'
import type { FetchFunction } from '../http/fetch.ts'
import type { FrameworkHooks } from '../http/framework.ts'
import type { GivenSettings } from '../http/node/program-limits.ts'
import type { StatsdOptions } from '../log/statsd.ts'
import type { SyslogOptions } from '../log/syslog.ts'
import type { EngineSettings } from '../settings/engine.ts'
import type { TlsMaterial } from '../tls/material.ts'
import type { ExchangeHandler } from './exchange.ts'
import type { ProtocolConfig } from './protocols.ts'

/** What answers the requests, by the shape the application has. */
export type Target =
  | ({ readonly style: 'node'; readonly server: Server } & FrameworkHooks)
  | ({ readonly style: 'fetch'; readonly fetch: FetchFunction } & FrameworkHooks)
  | { readonly style: 'exchange'; readonly handler: ExchangeHandler }

/** A listening descriptor that the arbiter bound, with its name as in the log. */
export interface ListenerInfo {
  readonly fd: number
  readonly address: string
  /** Whether the listener uses TLS, with the material of the option `tls`. */
  readonly isSecure: boolean
}

/** The configuration of an engine; a `Config` is one. */
export interface EngineConfig
  extends EngineSettings,
    Partial<SyslogOptions>,
    Partial<StatsdOptions>,
    Partial<ProtocolConfig> {
  readonly engine: string
  /** The setting `backlog`; Node's default if undefined. */
  readonly backlog?: number
  /** The setting of this name; no limit if undefined. */
  readonly websocket_max_message_size?: number
}

/** The log that an engine writes its messages to. */
export interface EngineLog {
  debug(text: string): void
  info(text: string): void
  warning(text: string): void
  error(text: string): void
  exception(text: string, thrown: unknown): void
}

/** The scoreboard and this worker's slot on it (the native engine only). */
export interface EngineBoard {
  readonly fd: number
  readonly slots: number
  readonly slot: number
  readonly kickFds: readonly number[]
  /** The sockets over which connections move between workers; undefined without affinity. */
  readonly transfers?: { readonly inbox: number; readonly outboxes: readonly number[] } | undefined
  /** The workers have more busy threads than processors. */
  readonly isOversubscribed: boolean
}

export interface EngineOptions {
  readonly config: EngineConfig
  /**
   * The names of the settings that the operator gave. They override what the program sets on its
   * server.
   */
  readonly given?: GivenSettings
  readonly log: EngineLog
  readonly board?: EngineBoard | undefined
  /** The descriptor whose end means that the arbiter is gone (the native engine only). */
  readonly lifelineFd?: number | undefined
  /** What TLS needs, where it is spoken. */
  readonly tls?: TlsMaterial | undefined
  /** What the keys of session tickets are made of; no session is resumed without. */
  readonly ticketSecrets?: readonly string[]
}

/** What an engine has counted since it started. */
export interface EngineCounters {
  readonly connections: number
  /** Connections whose request is not yet answered. */
  readonly inFlight: number
  readonly requests: number
  /** How often the I/O thread has taken the loop over; undefined without such a thread. */
  readonly takeovers?: number
}

export interface Engine {
  readonly name: 'native' | 'node'
  /** Starts to accept on every listener; called once. */
  serve(target: Target, listeners: readonly ListenerInfo[]): Promise<void>
  /** Accepts nothing: the program has closed its server. */
  pause(): void
  /** Accepts again; false where that is no longer possible. */
  resume(): boolean
  /** The server is about to stop: its health checks fail. The native engine knows by itself. */
  announceStop?(): void
  /**
   * Accepts no more, finishes what is in flight, resolves when every connection is gone or
   * `graceMs` has passed. Idle connections are kept for `idleMs`.
   */
  drain(graceMs: number, idleMs: number): Promise<void>
  /** While it drains: idle connections are kept no longer than that from now on. */
  hasten(idleMs: number): void
  /** Cuts every connection. */
  close(): void
  /** After `close` they are what they were then. */
  counters(): EngineCounters
  /** Reopens the access log by its path. */
  reopenLog(): void
  /**
   * Uses this TLS material for new connections. Throws, and changes nothing, where the material
   * cannot be used.
   */
  secure(tls: TlsMaterial | undefined, ticketSecrets: readonly string[]): void
}
