/** Replies to the arbiter's requests for metrics. No state of the worker's life matters to them. */

import type { RuntimeReporter } from '../metrics/worker-report.ts'
import type { System } from '../process/system.ts'
import type { Channel } from './channel.ts'

/** Sends reports to the arbiter. */
export class MetricsReporter {
  readonly #system: System
  readonly #channel: Channel
  #runtime: Promise<RuntimeReporter> | undefined

  constructor(system: System, channel: Channel) {
    this.#system = system
    this.#channel = channel
  }

  report(): void {
    // Loaded with the first request: most servers have no page of metrics.
    this.#runtime ??= import('../metrics/worker-report.ts').then(
      ({ RuntimeReporter }) => new RuntimeReporter(this.#system),
    )
    void this.#runtime.then((reporter) =>
      reporter.report((runtime) => this.#channel.send({ type: 'metrics', runtime })),
    )
  }
}
