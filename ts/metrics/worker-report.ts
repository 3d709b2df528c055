/** What a worker reports for a scrape: the state of its Node.js. */

import type { EventLoopUtilization } from 'node:perf_hooks'
import { memoryUsage } from 'node:process'

import type { System } from '../process/system.ts'

/** The state of Node.js in a worker. */
export interface RuntimeReport {
  readonly heapTotal: number
  readonly heapUsed: number
  readonly external: number
  readonly activeResources: number
  /** How long the event loop needed for its next turn. */
  readonly lagSeconds: number
  /** Share of time in which the event loop was busy since the last report, from 0 to 1. */
  readonly utilization: number
}

/** Reports about this process. */
export class RuntimeReporter {
  readonly #system: System
  #before: EventLoopUtilization | undefined

  constructor(system: System) {
    this.#system = system
  }

  /** Calls back with a report after the next turn of the event loop. */
  report(callback: (report: RuntimeReport) => void): void {
    const startedAtMs = this.#system.now()
    setImmediate(() => {
      const lagSeconds = (this.#system.now() - startedAtMs) / 1_000
      const now = performance.eventLoopUtilization()
      const { utilization } =
        this.#before === undefined ? now : performance.eventLoopUtilization(now, this.#before)
      this.#before = now
      const { heapTotal, heapUsed, external } = memoryUsage()
      const activeResources = process.getActiveResourcesInfo().length
      callback({ heapTotal, heapUsed, external, activeResources, lagSeconds, utilization })
    })
  }
}
