/** What is done once a second, whatever happens: the title, statsd's gauges, certificates, the orphans of a container. */

import type { System } from '../process/system.ts'
import type { ArbiterDependencies } from './dependencies.ts'
import { Gauges } from './gauges.ts'
import type { Generation } from './generation.ts'
import type { Supervisor } from './supervisor.ts'
import type { TitleAndPidfile } from './title-and-pidfile.ts'
import { renewTls } from './tls.ts'

export class Housekeeping {
  readonly #system: System
  readonly #dependencies: ArbiterDependencies
  readonly #titleAndPidfile: TitleAndPidfile
  readonly #supervisor: Supervisor
  readonly #gauges: Gauges

  constructor(
    system: System,
    {
      dependencies,
      titleAndPidfile,
      supervisor,
    }: {
      dependencies: ArbiterDependencies
      titleAndPidfile: TitleAndPidfile
      supervisor: Supervisor
    },
  ) {
    this.#system = system
    this.#dependencies = dependencies
    this.#titleAndPidfile = titleAndPidfile
    this.#supervisor = supervisor
    this.#gauges = new Gauges(dependencies.log)
  }

  runEverySecond(current: Generation | undefined): void {
    const { workers } = this.#supervisor
    this.#titleAndPidfile.showStatus(this.#supervisor.formatStatus())
    if (current !== undefined) this.#gauges.update(current, workers.size)
    renewTls(current, { system: this.#system, log: this.#dependencies.log, workers })
    this.#dependencies.reapOrphans()
  }
}
