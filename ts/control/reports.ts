/** The data that commands answer with. Durations are in seconds, sizes in bytes. */

import type { LatencyHistogram } from '../scoreboard/board.ts'
import type { WorkerSnapshot } from '../scoreboard/worker-snapshot.ts'

/** Data of `status`. */
export interface StatusReport {
  readonly pid: number
  readonly version: string
  readonly app: string
  /** `proc_name`, if it is set. */
  readonly name: string | null
  /** Phase of the arbiter, as in docs/signals.md. */
  readonly phase: string
  readonly engine: string
  readonly uptime: number
  /** Number of the start or reload that the settings are from: 1 after the start. */
  readonly generation: number
  readonly addresses: readonly string[]
  readonly workers: {
    readonly wanted: number
    readonly serving: number
    readonly booting: number
    readonly stopping: number
  }
  readonly inFlight: number
  /** Outcome of the latest reload. */
  readonly lastReload: 'complete' | 'failed' | null
  /** Process id of the other arbiter during an upgrade. */
  readonly successor: number | null
  readonly predecessor: number | null
}

/** One worker in the data of `workers`. */
export interface WorkerReport extends WorkerSnapshot {
  /** Ordinal number among all workers ever started. */
  readonly age: number
  readonly state: string
  /** True for the worker that does the work of one worker, as in docs/one-worker.md. */
  readonly leads: boolean
}

/**
 * Data of `stats`. Counters continue over upgrades. Without the addon, only counters of running
 * workers are known.
 */
export interface StatsReport {
  readonly uptime: number
  readonly requests: number
  readonly inFlight: number
  readonly connections: number
  /** Number of workers started since the start of the server. */
  readonly workersStarted: number
  readonly reloads: { readonly complete: number; readonly failed: number }
  readonly totals: {
    readonly accepted: number
    readonly bytesIn: number
    readonly bytesOut: number
    /** Numbers of responses by the class of their status. */
    readonly status: Readonly<Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>>
    readonly latency: LatencyReport | null
  } | null
}

/** Durations of requests. */
export interface LatencyReport {
  readonly mean: number
  readonly p50: number
  readonly p99: number
}

/** Data of `top`: a reading of counters. Two readings give rates. */
export interface LoadReport {
  /** Time of the reading, on a clock that never jumps. */
  readonly at: number
  readonly status: StatusReport
  /** Number of connections that wait to be accepted; null where the system does not count them. */
  readonly queued: number | null
  readonly workers: readonly WorkerLoad[]
}

/** One worker in the data of `top`. */
export interface WorkerLoad extends WorkerReport {
  /** Share of the time since the previous reading that the event loop was busy, 0 to 1. */
  readonly utilization: number | null
  /** Requests by duration since the worker started; null without the addon. */
  readonly latency: LatencyHistogram | null
}

/** Data of `profile` and `heap-snapshot`. */
export interface FileReport extends ChangeReport {
  readonly path: string
  readonly bytes: number
}

/** Data of `inspect`. */
export interface InspectReport extends ChangeReport {
  /** WebSocket address for a debugger; null after `off`. */
  readonly url: string | null
}

/** One setting in the data of `config`. */
export interface SettingReport {
  readonly name: string
  readonly value: string
  readonly origin: string
}

/** One address in the data of `listeners`. */
export interface ListenerReport {
  readonly address: string
  /** Who asked for the address: the setting `bind`, or the application. */
  readonly by: 'bind' | 'application'
  readonly isSecure: boolean
  /** Number of connections that wait to be accepted; null where the system does not count them. */
  readonly pending: number | null
}

/** Data of a command that changes something. */
export interface ChangeReport {
  readonly message: string
}
