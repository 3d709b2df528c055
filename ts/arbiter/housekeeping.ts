/**
 * Work that is done once a second: the process title, statsd gauges, TLS files, monitoring,
 * orphaned processes and connections of workers that have exited. After each event, the choice of
 * the leading worker.
 */

import type { System } from '../process/system.ts'
import type { ArbiterScoreboard } from '../scoreboard/board.ts'
import type { ArbiterDependencies } from './dependencies.ts'
import { Gauges } from './gauges.ts'
import type { Generation } from './generation.ts'
import type { Leadership } from './leadership.ts'
import type { Monitoring } from './monitoring/monitoring.ts'
import type { TitleAndPidfile } from './title-and-pidfile.ts'
import { renewTls } from './tls.ts'
import type { Workers } from './workers.ts'

/** What the housekeeping reads and updates. */
export interface HousekeepingTargets {
  readonly dependencies: ArbiterDependencies
  readonly titleAndPidfile: TitleAndPidfile
  readonly workers: Workers
  readonly monitoring: Monitoring
  readonly leadership: Leadership
}

/** Does the periodic work of the arbiter. */
export class Housekeeping {
  readonly #system: System
  readonly #dependencies: ArbiterDependencies
  readonly #titleAndPidfile: TitleAndPidfile
  readonly #workers: Workers
  readonly #monitoring: Monitoring
  readonly #leadership: Leadership
  readonly #gauges: Gauges

  constructor(system: System, targets: HousekeepingTargets) {
    this.#system = system
    this.#dependencies = targets.dependencies
    this.#titleAndPidfile = targets.titleAndPidfile
    this.#workers = targets.workers
    this.#monitoring = targets.monitoring
    this.#leadership = targets.leadership
    this.#gauges = new Gauges(targets.dependencies.log)
  }

  /** Returns whether a graceful stop has to wait for `drain_delay`. */
  deferStop(): boolean {
    return this.#monitoring.deferStop()
  }

  /** Chooses the worker that does the work of one worker. Called after each event. */
  chooseLeader(): void {
    this.#leadership.update()
  }

  runEverySecond(current: Generation | undefined): void {
    const { log, reapOrphans, scoreboard } = this.#dependencies
    const workers = this.#workers
    this.#titleAndPidfile.showStatus(formatStatus(workers, scoreboard))
    if (current !== undefined) this.#gauges.update(current, workers.size)
    renewTls(current, { system: this.#system, log, workers })
    this.#monitoring.runEverySecond()
    reapOrphans()
    // A worker may have transferred a connection to another one while that exited.
    scoreboard.rescueTransfers()
  }
}

/** Returns the status text of the process title: workers that serve, and requests in flight. */
function formatStatus(workers: Workers, scoreboard: ArbiterScoreboard): string {
  const serving = workers.countServing()
  const inFlight = workers
    .list()
    .filter(({ readyAtMs }) => readyAtMs !== undefined)
    .reduce((sum, { slot }) => sum + scoreboard.read(slot).inFlight, 0)
  return `${serving} worker${serving === 1 ? '' : 's'}, ${inFlight} in flight`
}
