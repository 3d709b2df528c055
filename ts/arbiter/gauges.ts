/** What the arbiter tells statsd: how many workers there are, and how many connections wait for one. */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { Statsd, statsdTarget } from '../log/statsd.ts'
import { native } from '../native/index.ts'
import type { Generation } from './generation.ts'

/** A gauge that a collector has missed is told again. */
const AGAIN_TICKS = 60

export class Figures {
  readonly #log: Logger
  #config: Generation['config'] | undefined
  #statsd: Statsd | undefined
  #workers: number | undefined
  #ticks = 0
  #complained = false

  constructor(log: Logger) {
    this.#log = log
  }

  /** Once a second. */
  tell(generation: Generation, workers: number): void {
    const { config } = generation
    if (config !== this.#config) this.#configure(config)
    if (this.#statsd === undefined) return
    this.#ticks += 1
    if (workers !== this.#workers || this.#ticks % AGAIN_TICKS === 0) {
      this.#workers = workers
      this.#statsd.gauge('gunicorn.workers', workers)
    }
    if (config.enable_backlog_metric) this.#tellBacklog(generation)
  }

  #configure(config: Generation['config']): void {
    this.#config = config
    this.#workers = undefined
    this.#statsd?.close()
    this.#statsd = undefined
    const target = statsdTarget(config)
    try {
      if (target !== undefined) this.#statsd = new Statsd(target)
    } catch (error) {
      // The log has the same target, and has said so at the start; here it is a reload's.
      this.#log.error(error instanceof Error ? error.message : String(error))
    }
  }

  #tellBacklog({ listeners }: Generation): void {
    try {
      if (native === null) return this.#complain('the addon is not loaded')
      const addon = native
      const tcp = listeners.filter(({ port }) => port !== undefined)
      const waiting = tcp.reduce((sum, { fd }) => sum + addon.countPendingConnections(fd), 0)
      this.#statsd?.histogram('gunicorn.backlog', waiting)
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error))
    }
  }

  #complain(why: string): void {
    if (this.#complained) return
    this.#complained = true
    logLine(this.#log, 'backlogMetricUnavailable', why)
  }
}
