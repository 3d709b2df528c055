/**
 * Gauges that the arbiter sends to statsd: the number of workers, and the connections that wait to
 * be accepted.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { resolveStatsdTarget, StatsdClient } from '../log/statsd.ts'
import { METRICS } from '../metrics/table.ts'
import { native } from '../native/index.ts'
import type { Generation } from './generation.ts'

/** Ticks after which an unchanged gauge is sent again, in case the collector has missed it. */
const REPEAT_TICKS = 60

/** Sends gauges to the statsd host of the current settings. */
export class Gauges {
  readonly #log: Logger
  #config: Generation['config'] | undefined
  #statsd: StatsdClient | undefined
  #reportedWorkers: number | undefined
  #ticks = 0
  #hasWarned = false

  constructor(log: Logger) {
    this.#log = log
  }

  /** Sends the gauges that are due. Called once a second. */
  update(generation: Generation, workers: number): void {
    const { config } = generation
    if (config !== this.#config) this.#configure(generation)
    if (this.#statsd === undefined) return
    this.#ticks += 1
    if (workers !== this.#reportedWorkers || this.#ticks % REPEAT_TICKS === 0) {
      this.#reportedWorkers = workers
      this.#statsd.gauge(METRICS.workers.statsd, workers)
    }
    if (config.enable_backlog_metric) this.#reportBacklog(generation)
  }

  #configure({ config, collectorAddresses }: Generation): void {
    this.#config = config
    this.#reportedWorkers = undefined
    this.#statsd?.close()
    this.#statsd = undefined
    // The name may no longer resolve: the address is that of the time when the settings were read.
    const target = resolveStatsdTarget({ ...config, ...collectorAddresses })
    try {
      if (target !== undefined) this.#statsd = new StatsdClient(target)
    } catch (error) {
      // The error log uses the same target and reports a failure at the start; this one follows a
      // reload.
      this.#log.error(error instanceof Error ? error.message : String(error))
    }
  }

  #reportBacklog({ listeners }: Generation): void {
    try {
      if (native === null) return this.#warnOnce('the addon is not loaded')
      const addon = native
      const tcp = listeners.filter(({ port }) => port !== undefined)
      const waiting = tcp.reduce((sum, { fd }) => sum + addon.countPendingConnections(fd), 0)
      this.#statsd?.histogram(METRICS.listenBacklog.statsd, waiting)
    } catch (error) {
      this.#warnOnce(error instanceof Error ? error.message : String(error))
    }
  }

  #warnOnce(why: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    logLine(this.#log, 'backlogMetricUnavailable', why)
  }
}
