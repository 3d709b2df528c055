/** What is done once a second, whatever happens: the title, statsd's gauges, certificates, the orphans of a container. */

import type { System } from '../process/system.ts'
import type { ArbiterParts } from './dependencies.ts'
import { Figures } from './gauges.ts'
import type { Generation } from './generation.ts'
import type { Supervisor } from './supervisor.ts'
import type { Identity } from './title-and-pidfile.ts'
import { renewTls } from './tls.ts'

export class Upkeep {
  readonly #system: System
  readonly #parts: ArbiterParts
  readonly #identity: Identity
  readonly #supervisor: Supervisor
  readonly #figures: Figures

  constructor(
    system: System,
    {
      parts,
      identity,
      supervisor,
    }: { parts: ArbiterParts; identity: Identity; supervisor: Supervisor },
  ) {
    this.#system = system
    this.#parts = parts
    this.#identity = identity
    this.#supervisor = supervisor
    this.#figures = new Figures(parts.log)
  }

  everySecond(current: Generation | undefined): void {
    const { workers } = this.#supervisor
    this.#identity.show(this.#supervisor.figures())
    if (current !== undefined) this.#figures.tell(current, workers.size)
    renewTls(current, { system: this.#system, log: this.#parts.log, workers })
    this.#parts.reapOrphans()
  }
}
