/** Replies to the arbiter's requests for metrics. No state of the worker's life matters to them. */

import { logLine } from '../log/log-lines.ts'
import type { ApplicationReport, ApplicationReporter } from '../metrics/application-report.ts'
import type { RuntimeReporter } from '../metrics/worker-report.ts'
import type { System } from '../process/system.ts'
import type { Channel } from './channel.ts'
import type { WorkerParts } from './parts.ts'

/** Longer than a scrape waits: a registry may call functions of the application that hang. */
const MAX_COLLECTION_MS = 1_000

/** Sends reports to the arbiter. */
export class MetricsReporter {
  readonly #system: System
  readonly #channel: Channel
  readonly #parts: WorkerParts
  #runtime: Promise<RuntimeReporter> | undefined
  #application: Promise<ApplicationReporter> | undefined
  #isCollecting = false
  #hasWarned = false

  constructor(system: System, channel: Channel, parts: WorkerParts) {
    this.#system = system
    this.#channel = channel
    this.#parts = parts
  }

  /** Sends a report. `known` is the number of the latest one that the arbiter has. */
  report(known: number): void {
    // Loaded with the first request: most servers have no page of metrics.
    this.#runtime ??= import('../metrics/worker-report.ts').then(
      ({ RuntimeReporter }) => new RuntimeReporter(this.#system),
    )
    void this.#runtime.then((reporter) =>
      reporter.report(async (runtime) => {
        const application = await this.#collectInTime(known)
        this.#channel.send({
          type: 'metrics',
          runtime,
          ...(application === undefined ? {} : { application }),
        })
      }),
    )
  }

  /** One collection at a time: a registry that hangs must not be asked again and again. */
  async #collectInTime(known: number): Promise<ApplicationReport | undefined> {
    if (this.#isCollecting) return undefined
    this.#isCollecting = true
    const collected = this.#collect(known).finally(() => {
      this.#isCollecting = false
    })
    return Promise.race([collected, this.#system.sleep(MAX_COLLECTION_MS).then(() => undefined)])
  }

  async #collect(known: number): Promise<ApplicationReport | undefined> {
    try {
      this.#application ??= import('../metrics/application-report.ts').then(
        ({ ApplicationReporter }) => new ApplicationReporter(),
      )
      return await (await this.#application).report(known)
    } catch (error) {
      const { log } = this.#parts
      const problem = error instanceof Error ? error.message : String(error)
      if (!this.#hasWarned && log !== undefined) logLine(log, 'appMetricsFailed', problem)
      this.#hasWarned = true
      return undefined
    }
  }
}
