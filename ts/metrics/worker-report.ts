/** What a worker reports for a scrape: the state of its Node.js. */

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
  /** Time in which the event loop was busy, and in which it waited, since its start. */
  readonly activeMs: number
  readonly idleMs: number
}

/** Reports about this process. */
export class RuntimeReporter {
  readonly #system: System

  constructor(system: System) {
    this.#system = system
  }

  /** Calls back with a report after the next turn of the event loop. */
  report(callback: (report: RuntimeReport) => void): void {
    const startedAtMs = this.#system.now()
    setImmediate(() => {
      const lagSeconds = (this.#system.now() - startedAtMs) / 1_000
      const { active: activeMs, idle: idleMs } = performance.eventLoopUtilization()
      const { heapTotal, heapUsed, external } = memoryUsage()
      const activeResources = process.getActiveResourcesInfo().length
      const memory = { heapTotal, heapUsed, external }
      callback({ ...memory, activeResources, lagSeconds, activeMs, idleMs })
    })
  }
}
