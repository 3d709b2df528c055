/**
 * statsd metrics with Gunicorn's names. The native engine sends its request metrics itself; this
 * module sends all others.
 */

import { system } from '../process/system.ts'
import { type LogSocket, openLogSocket } from './log-socket.ts'

/** Settings of statsd. */
export interface StatsdOptions {
  readonly statsd_host: string | null
  readonly statsd_prefix: string
  readonly dogstatsd_tags: string
}

/** Target of the metrics, with the prefix of every name and the tags. */
export interface StatsdTarget {
  readonly address: string
  readonly prefix: string
  readonly tags: string
}

const DEFAULT_PORT = 8125

/** Returns whether a text is a valid `statsd_host`: `HOST`, `HOST:PORT` or `unix://PATH`. */
export function isStatsdHost(text: string): boolean {
  return /^unix:\/\/.+|^(?:[^/:\s]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(text)
}

/** Returns the target of the settings; undefined if they name none. */
export function resolveStatsdTarget({
  statsd_host: host = null,
  statsd_prefix: prefix = '',
  dogstatsd_tags: tags = '',
}: Partial<StatsdOptions>): StatsdTarget | undefined {
  if (host === null) return undefined
  const whole = /:\d+$/.test(host) ? host : `${host}:${DEFAULT_PORT}`
  const address = host.startsWith('unix://') ? `${host}#dgram` : `udp://${whole}`
  return { address, prefix: prefix === '' ? '' : `${prefix.replace(/\.+$/, '')}.`, tags }
}

/** Sends single samples to statsd. */
export class StatsdClient {
  readonly #target: StatsdTarget
  readonly #socket: LogSocket

  constructor(target: StatsdTarget) {
    this.#target = target
    this.#socket = openLogSocket('statsd_host', target.address)
  }

  increment(name: string): void {
    this.send([`${name}:1|c|@1.0`])
  }

  gauge(name: string, value: number): void {
    this.send([`${name}:${value}|g`])
  }

  histogram(name: string, value: number): void {
    this.send([`${name}:${value}|ms`])
  }

  send(samples: readonly string[]): void {
    const { prefix, tags } = this.#target
    const end = tags === '' ? '' : `|#${tags}`
    this.#socket.send(samples.map((sample) => `${prefix}${sample}${end}`).join('\n'))
  }

  close(): void {
    this.#socket.close()
  }
}

const FLUSH_MS = 100
/**
 * Maximum number of durations kept per interval. With more requests a uniform random sample is
 * sent, with its sampling rate.
 */
const MAX_DURATION_SAMPLES = 128
/** Samples per datagram: stays within 1432 bytes with a long prefix and tags. */
const SAMPLES_PER_DATAGRAM = 10

/**
 * Request metrics of the TypeScript engine. The native engine sends the same from its I/O thread.
 */
export class RequestMetrics {
  readonly #statsd: StatsdClient
  #requests = 0
  readonly #statuses = new Map<number, number>()
  #durationsMs: number[] = []

  constructor(target: StatsdTarget) {
    this.#statsd = new StatsdClient(target)
    system.every(FLUSH_MS, () => this.flush())
  }

  recordRequest(status: number, durationMs: number): void {
    this.#requests += 1
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    const index =
      this.#durationsMs.length < MAX_DURATION_SAMPLES
        ? this.#durationsMs.length
        : Math.floor(system.random() * this.#requests)
    if (index < MAX_DURATION_SAMPLES) this.#durationsMs[index] = durationMs
  }

  flush(): void {
    if (this.#requests === 0) return
    const rate = this.#durationsMs.length / this.#requests
    const ending = rate < 1 ? `|@${rate.toFixed(4)}` : ''
    const samples = [
      `gunicorn.requests:${this.#requests}|c|@1.0`,
      ...[...this.#statuses].map(([code, n]) => `gunicorn.request.status.${code}:${n}|c|@1.0`),
      ...this.#durationsMs.map((ms) => `gunicorn.request.duration:${ms.toFixed(3)}|ms${ending}`),
    ]
    this.#requests = 0
    this.#statuses.clear()
    this.#durationsMs = []
    for (let at = 0; at < samples.length; at += SAMPLES_PER_DATAGRAM) {
      this.#statsd.send(samples.slice(at, at + SAMPLES_PER_DATAGRAM))
    }
  }
}
