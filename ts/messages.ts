/**
 * Every message between the arbiter and a worker, as one union for each direction. They travel as lines of JSON over
 * a socket pair that a worker inherits as descriptor 3.
 */

import type { HookName } from './hooks/table.ts'
import type { CollectorAddresses } from './log/collectors.ts'
import type { Config } from './settings/config.ts'
import type { SignalName } from './signals.ts'
import type { TlsMaterial } from './tls/material.ts'

/** The descriptor of a worker's end of the channel. */
export const CHANNEL_FD = 3

/** The descriptor of the scoreboard's memory, when there is one. */
export const SCOREBOARD_FD = 4

/** By which a worker gets further listening sockets while it runs; the listeners follow, then the kick eventfds. */
export const DESCRIPTOR_CHANNEL_FD = 5

/** After a change of code a worker finishes what takes no longer than this, and is killed a little later. */
export const RESTART_DRAIN_MS = 250

/**
 * A worker that others follow keeps idle connections this long: a client that was held up for a moment, or still reads
 * its last answer, asks on the connection that it was told it may keep.
 */
export const IDLE_DRAIN_WITH_SUCCESSOR_MS = 10_000

/** The same where nobody follows, and for whoever waits for the end. */
export const IDLE_DRAIN_MS = 2_000

/** A listening socket as a worker receives it. */
export interface InheritedSocket {
  readonly fd: number
  /** As in the log: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  readonly address: string
  /** TLS is spoken there. */
  readonly isSecure: boolean
  /** It would be with a certificate, which the program may have where the settings name none. */
  readonly canBeSecure: boolean
}

/** From the arbiter to a worker. */
export type ArbiterMessage =
  | BootMessage
  /** Open the logs again. */
  | { readonly type: 'reopenLogs' }
  /** Everybody ends: idle connections are kept only for a moment. */
  | { readonly type: 'shortenDrain' }
  /** With `reload`: end soon, for the code has changed. */
  | { readonly type: 'restart' }
  | TlsUpdateMessage

/** Connections that begin from now on get this. */
export interface TlsUpdateMessage {
  readonly type: 'updateTls'
  readonly tls?: TlsMaterial
  readonly ticketSecrets: readonly string[]
}

/** The first message. */
export interface BootMessage {
  readonly type: 'boot'
  /** 1..N, as in MONOCEROS_WORKER and on the scoreboard. */
  readonly slot: number
  readonly slotGeneration: number
  readonly config: Config
  /** The settings that the operator gave, from wherever. */
  readonly givenSettings: readonly string[]
  /** Where the names of syslog and statsd led to when the settings were read. */
  readonly collectorAddresses: CollectorAddresses
  readonly listeners: readonly InheritedSocket[]
  /** What TLS needs, where it is spoken. */
  readonly tls?: TlsMaterial
  /** What the keys of session tickets are made of. */
  readonly ticketSecrets: readonly string[]
  /** One descriptor for each slot of the scoreboard; empty without the shared page. */
  readonly kickFds: readonly number[]
  /** The arbiter's standard output and error, where the worker's own are captured. */
  readonly capturedOutputFds?: { readonly stdout: number; readonly stderr: number }
  readonly slotCount: number
  /** Counts all workers of the arbiter: the smaller, the older. */
  readonly age: number
  /** Requests after which it is replaced; 0 for never. */
  readonly requestLimit: number
  /** A worker has served with these settings before. */
  readonly hasServedBefore: boolean
  /** The worker's own hooks that are set; their functions do not travel. */
  readonly hookNames: readonly HookName[]
  /** Where the functions are. */
  readonly configFile?: string
  /** Load the application and report, but do not serve: `--check-config`. */
  readonly isCheck: boolean
}

/** Where a further server of the program listens. */
export interface ExtraListenerAddress {
  /** An IP address; null is every address of the machine. */
  readonly host: string | null
  readonly port: number
  /** An IPv6 address takes no IPv4. */
  readonly ipv6Only: boolean
}

/** What a worker without the shared page says of itself with each beat. */
export interface WorkerCounters {
  readonly connections: number
  readonly inFlight: number
  readonly requests: number
}

export type WorkerMessage =
  /** The application is loaded and the engine accepts. */
  | { readonly type: 'ready'; readonly engine: string }
  /** The application could not be loaded; the process ends with `exit`. */
  | {
      readonly type: 'bootFailed'
      readonly code: string
      readonly message: string
      readonly exitStatus: number
    }
  /** Somebody else than the arbiter told the worker to stop: it drains or ends, and needs a successor. */
  | { readonly type: 'signaled'; readonly signal: SignalName }
  /** An error was not caught: the worker serves on and would rather be replaced. */
  | { readonly type: 'uncaughtError' }
  /** The program has a further server; the answer is a descriptor, or none, and comes by SHARING_FD. */
  | ({ readonly type: 'listen'; readonly id: number } & ExtraListenerAddress)
  /** That server has closed. */
  | ({ readonly type: 'unlisten' } & ExtraListenerAddress)
  /** With `reload`: what the application consists of, and why it could not be loaded. */
  | {
      readonly type: 'loaded'
      readonly files: readonly string[]
      /** Nothing else is loaded. */
      readonly isComplete: boolean
      readonly failure?: string
    }
  /** The event loop turns; only without the shared page. */
  | { readonly type: 'heartbeat'; readonly counters: WorkerCounters }
  /** The event loop has not turned for `timeout`; sent by the watcher's thread. Unless it is `final`, more follows. */
  | ({ readonly type: 'blocked'; readonly final: boolean } & BlockReport)

/** A request that a worker has not answered yet. */
export interface InFlightRequest {
  /** Method and path, as far as they are kept: `GET /orders`. */
  readonly request: string
  readonly ageMs: number
}

/** Why the event loop of a worker does not turn, as its watcher found. */
export interface BlockReport {
  /** Of JavaScript; null when V8 did not answer. */
  readonly stack: string | null
  /** The system call that the thread waits in. */
  readonly call: string | null
  readonly requests: readonly InFlightRequest[]
}

/** From an arbiter to the process that started it: an older arbiter, or the command that goes to the background. */
export type SuccessorMessage =
  /** As many workers as wanted are ready. */
  | { readonly type: 'ready' }
  /** A line of the log from before that, for whoever has started a daemon. */
  | { readonly type: 'startError'; readonly text: string }

/** One line of the channel. */
export function encodeMessage(message: ArbiterMessage | WorkerMessage | SuccessorMessage): string {
  return `${JSON.stringify(message)}\n`
}

/** A function that takes chunks of a stream of lines and calls back with each whole message. */
export function messageDecoder<Message>(
  onMessage: (message: Message) => void,
): (chunk: string) => void {
  let rest = ''
  return (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onMessage(JSON.parse(line) as Message)
  }
}
