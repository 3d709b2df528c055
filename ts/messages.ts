/**
 * Messages between the arbiter and a worker, as one union for each direction. They are sent as
 * lines of JSON over a socket pair, which the worker inherits as descriptor 3.
 */

import type { HookName } from './hooks/table.ts'
import type { CollectorAddresses } from './log/collectors.ts'
import type { ApplicationReport } from './metrics/application-report.ts'
import type { RuntimeReport } from './metrics/worker-report.ts'
import type { Config } from './settings/config.ts'
import type { SignalName } from './signals.ts'
import type { TlsMaterial } from './tls/material.ts'

/** Descriptor of a worker's end of the channel. */
export const CHANNEL_FD = 3

/** Descriptor of the scoreboard's shared memory, where it exists. */
export const SCOREBOARD_FD = 4

/**
 * Descriptor of the socket that passes extra listening sockets to a running worker. The listeners
 * follow from 6 on, then the eventfds that wake acceptors.
 */
export const DESCRIPTOR_CHANNEL_FD = 5

/**
 * Time that requests in flight have after a change of code (setting `reload`). The worker is killed
 * a little later.
 */
export const RESTART_DRAIN_MS = 250

/**
 * How long a draining worker keeps idle connections while another worker replaces it. A client that
 * was delayed, or is still reading a response, may send its next request on the connection that it
 * was allowed to keep.
 */
export const IDLE_DRAIN_WITH_SUCCESSOR_MS = 10_000

/** The same time where no worker replaces it. A reload waits at least this long for a drain. */
export const IDLE_DRAIN_MS = 2_000

/** A listening socket as a worker receives it. */
export interface InheritedSocket {
  readonly fd: number
  /** Address as the log shows it: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  readonly address: string
  /** True if the listener uses TLS. */
  readonly isSecure: boolean
  /**
   * True if the listener uses TLS as soon as there is a certificate. The application may bring one
   * if the settings have none.
   */
  readonly canBeSecure: boolean
}

/** A message from the arbiter to a worker. */
export type ArbiterMessage =
  | BootMessage
  /** Open the log files again. */
  | { readonly type: 'reopenLogs' }
  /** No worker replaces this one: keep idle connections for a short time only. */
  | { readonly type: 'shortenDrain' }
  /** The code has changed (setting `reload`): exit soon. */
  | { readonly type: 'restart' }
  | TlsUpdateMessage
  | MonitoringMessage
  | DiagnoseMessage
  | LeadMessage

/** No other worker leads: start the work that exactly one worker does. */
export interface LeadMessage {
  readonly type: 'lead'
}

/** A message that no state of the worker's life matters to. */
export type MonitoringMessage =
  /** Send a report: for the page of metrics, the status page or `top`. */
  | {
      readonly type: 'collectMetrics'
      /** Number of the latest report of the application's metrics that the arbiter has, or 0. */
      readonly known: number
    }
  /** The server is about to stop: readiness fails. */
  | { readonly type: 'announceStop' }

/** Asks a worker to look into its own process. `ts/worker/diagnosis.ts` answers. */
export interface DiagnoseMessage {
  readonly type: 'diagnose'
  readonly id: number
  readonly diagnosis: Diagnosis
}

/** What a worker can find out about its own process. */
export type Diagnosis =
  | { readonly kind: 'profile'; readonly seconds: number }
  | { readonly kind: 'heapSnapshot' }
  /** Opens the process to a debugger; a port of null closes it. */
  | { readonly kind: 'inspect'; readonly port: number | null }

/** The result of a diagnosis, or why there is none. */
export type DiagnosisResult =
  | { readonly kind: 'file'; readonly path: string; readonly bytes: number }
  | { readonly kind: 'inspect'; readonly url: string | null }
  | { readonly kind: 'error'; readonly problem: string }

/** New TLS files and ticket secrets, for connections that begin from now on. */
export interface TlsUpdateMessage {
  readonly type: 'updateTls'
  readonly tls?: TlsMaterial
  readonly ticketSecrets: readonly string[]
}

/** The first message, which starts the boot. */
export interface BootMessage {
  readonly type: 'boot'
  /** Number of the slot from 1 on, as in MONOCEROS_WORKER and on the scoreboard. */
  readonly slot: number
  readonly slotGeneration: number
  readonly config: Config
  /** Names of the settings that the operator has set, from any source. */
  readonly givenSettings: readonly string[]
  /** Addresses of syslog and statsd as they resolved when the settings were read. */
  readonly collectorAddresses: CollectorAddresses
  readonly listeners: readonly InheritedSocket[]
  /** Certificates and TLS options; undefined if no listener uses TLS. */
  readonly tls?: TlsMaterial
  /** Secrets from which the keys of session tickets are derived. */
  readonly ticketSecrets: readonly string[]
  /**
   * One eventfd for each slot of the scoreboard, which wakes that worker's acceptor; empty without
   * shared memory.
   */
  readonly kickFds: readonly number[]
  /**
   * The sockets over which this worker transfers connections to others: its inbox, and the outbox
   * of each slot. Undefined without session affinity.
   */
  readonly transfers?: { readonly inbox: number; readonly outboxes: readonly number[] }
  /** Standard output and standard error of the arbiter, where those of the worker are captured. */
  readonly capturedOutputFds?: { readonly stdout: number; readonly stderr: number }
  readonly slotCount: number
  /** Ordinal number among all workers of the arbiter: the lower, the older. */
  readonly age: number
  /** Number of requests after which the worker is replaced; 0 means never. */
  readonly requestLimit: number
  /** True if a worker has already served with these settings. */
  readonly hasServedBefore: boolean
  /**
   * Names of the worker hooks that are set. Functions cannot be sent, so the worker loads them
   * itself.
   */
  readonly hookNames: readonly HookName[]
  /** Path of the config file with the hook functions. */
  readonly configFile?: string
  /**
   * Load the application and report the result, but do not serve (`--check-config`, `preload_app`).
   */
  readonly isCheck: boolean
}

/** Address of an extra server that the application creates. */
export interface ExtraListenerAddress {
  /** IP address; null means every address of the machine. */
  readonly host: string | null
  readonly port: number
  /** True if an IPv6 address accepts no IPv4 connections. */
  readonly ipv6Only: boolean
}

/** Counters that a worker without the shared page sends with each heartbeat. */
export interface WorkerCounters {
  readonly connections: number
  readonly inFlight: number
  readonly requests: number
}

/** A message from a worker to the arbiter. */
export type WorkerMessage =
  /** The application is loaded and the engine accepts connections. */
  | { readonly type: 'ready'; readonly engine: string }
  /** The application could not be loaded; the process exits with `exitStatus`. */
  | {
      readonly type: 'bootFailed'
      readonly code: string
      readonly message: string
      readonly exitStatus: number
    }
  /**
   * A signal that the arbiter did not send stops the worker: it drains or exits, and needs a
   * successor.
   */
  | { readonly type: 'signaled'; readonly signal: SignalName }
  /**
   * The application threw an error that it did not catch. The worker keeps serving until it is
   * replaced.
   */
  | { readonly type: 'uncaughtError' }
  /**
   * The application creates an extra server. The reply is a descriptor or a refusal, on
   * `DESCRIPTOR_CHANNEL_FD`.
   */
  | ({ readonly type: 'listen'; readonly id: number } & ExtraListenerAddress)
  /** The application has work that exactly one worker does. */
  | { readonly type: 'canLead' }
  /** The reply to `lead`, when that work has stopped: another worker may lead. */
  | { readonly type: 'stoppedLeading' }
  /** That extra server has closed. */
  | ({ readonly type: 'unlisten' } & ExtraListenerAddress)
  /** The files that the application has loaded, and why it failed to load (setting `reload`). */
  | {
      readonly type: 'loaded'
      readonly files: readonly string[]
      /** True if no other file is loaded. */
      readonly isComplete: boolean
      readonly failure?: string
    }
  /** The reply to `collectMetrics`. */
  | {
      readonly type: 'metrics'
      readonly runtime: RuntimeReport
      /** Undefined without a registry, and if the registry did not answer in time. */
      readonly application?: ApplicationReport
    }
  /** The answer to `diagnose`. */
  | { readonly type: 'diagnosed'; readonly id: number; readonly result: DiagnosisResult }
  /** The event loop turns. Sent only where the counters are not in the shared page. */
  | { readonly type: 'heartbeat'; readonly counters: WorkerCounters }
  /**
   * The event loop has not turned for `timeout`. The watcher thread sends it. A report that is not
   * `isFinal` precedes another one.
   */
  | ({ readonly type: 'blocked'; readonly isFinal: boolean } & BlockReport)

/** A request without a complete response. */
export interface InFlightRequest {
  /** Method and path, possibly shortened: `GET /orders`. */
  readonly request: string
  readonly ageMs: number
}

/** What blocks the event loop of a worker, as its watcher has found. */
export interface BlockReport {
  /** JavaScript stack; null if V8 did not respond. */
  readonly stack: string | null
  /** System call that the thread waits in. */
  readonly systemCall: string | null
  readonly requests: readonly InFlightRequest[]
}

/**
 * A message from an arbiter to the process that started it: an older arbiter, or the command that
 * starts a daemon.
 */
export type SuccessorMessage =
  /** The wanted number of workers is ready. */
  | { readonly type: 'ready' }
  /** An error of the start, which the command that starts a daemon prints. */
  | { readonly type: 'startError'; readonly text: string }
  | LeadershipMessage

/** A message between the two arbiters of an upgrade, in both directions. */
export type LeadershipMessage =
  /** This worker of the sender is about to lead. */
  | { readonly type: 'leader'; readonly pid: number }
  /** No worker of the sender leads, nor will: the receiver may choose one. */
  | { readonly type: 'passLead' }

/** Encodes one line of the channel. */
export function encodeMessage(message: ArbiterMessage | WorkerMessage | SuccessorMessage): string {
  return `${JSON.stringify(message)}\n`
}

/**
 * Returns a function that takes chunks of a stream of lines and calls back with each complete
 * message.
 */
export function createMessageDecoder<Message>(
  onMessage: (message: Message) => void,
): (chunk: string) => void {
  let rest = ''
  return (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const message: Message = JSON.parse(line)
      onMessage(message)
    }
  }
}
