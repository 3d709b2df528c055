/**
 * Collects a report of each worker for a scrape. A worker that does not answer in time, because its
 * event loop is busy or blocked, contributes what it reported last.
 */

import type { WorkerMessage } from '../../messages.ts'
import { ApplicationTotals } from '../../metrics/application-families.ts'
import type { Family } from '../../metrics/families.ts'
import type { System } from '../../process/system.ts'
import type { ArbiterScoreboard } from '../../scoreboard/board.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { Workers } from '../workers.ts'

/** A worker's report. */
export type WorkerReport = Extract<WorkerMessage, { type: 'metrics' }>

/** How long a scrape waits for workers whose applications have metrics of their own. */
const MAX_APPLICATION_WAIT_MS = 300
/** How long it waits for the others, which report only the state of Node.js. */
const MAX_WAIT_MS = 10
/** Heartbeats are due each second: a worker that is silent for longer does not answer now. */
const MAX_SILENCE_MS = 1_500

/** Holds the latest report of each worker. */
export class WorkerReports {
  readonly #system: System
  readonly #scoreboard: ArbiterScoreboard
  readonly #workers: Workers
  readonly #reports = new Map<WorkerHandle, WorkerReport>()
  readonly #totals = new ApplicationTotals()
  readonly #awaited = new Set<WorkerHandle>()
  #collection: Promise<void> | undefined
  #finish = (): void => {}

  constructor(
    system: System,
    { scoreboard, workers }: { scoreboard: ArbiterScoreboard; workers: Workers },
  ) {
    this.#system = system
    this.#scoreboard = scoreboard
    this.#workers = workers
  }

  get latest(): ReadonlyMap<WorkerHandle, WorkerReport> {
    return this.#reports
  }

  /**
   * Asks all workers for a report; resolves when they have answered, or after a short while. A
   * collection that is in progress serves several readers.
   */
  collect(waitMs?: number): Promise<void> {
    this.#collection ??= this.#collect(waitMs ?? this.#waitMs).finally(() => {
      this.#collection = undefined
    })
    return this.#collection
  }

  handleReport(worker: WorkerHandle, report: WorkerReport): void {
    // A registry that did not answer in time contributes what it had before.
    const application = report.application ?? this.#reports.get(worker)?.application
    this.#reports.set(worker, application === undefined ? report : { ...report, application })
    this.#settle(worker)
  }

  handleExit(worker: WorkerHandle): void {
    const application = this.#reports.get(worker)?.application
    if (application !== undefined) this.#totals.keep(application)
    this.#reports.delete(worker)
    this.#settle(worker)
  }

  /** Returns the families of the application, as the workers reported them last. */
  applicationFamilies(): Family[] {
    const reports = [...this.#reports.values()].flatMap(({ application }) =>
      application === undefined ? [] : [application],
    )
    return this.#totals.families(reports)
  }

  /** Asks the workers that have not reported yet whether their applications have metrics. */
  askNewWorkers(): void {
    for (const worker of this.#workers.list()) {
      if (worker.state === 'serving' && !this.#reports.has(worker))
        worker.child.send({ type: 'collectMetrics' })
    }
  }

  get #waitMs(): number {
    const hasOwn = [...this.#reports.values()].some(({ application }) => application !== undefined)
    return hasOwn ? MAX_APPLICATION_WAIT_MS : MAX_WAIT_MS
  }

  async #collect(waitMs: number): Promise<void> {
    this.#awaited.clear()
    for (const worker of this.#workers.list()) {
      if (worker.state !== 'serving' && worker.state !== 'draining') continue
      worker.child.send({ type: 'collectMetrics' })
      const { heartbeatAgeMs } = this.#scoreboard.read(worker.slot)
      if ((heartbeatAgeMs ?? 0) <= MAX_SILENCE_MS) this.#awaited.add(worker)
    }
    if (this.#awaited.size === 0) return
    await new Promise<void>((done) => {
      const cancel = this.#system.after(waitMs, done)
      this.#finish = () => {
        cancel()
        done()
      }
    })
  }

  #settle(worker: WorkerHandle): void {
    if (this.#awaited.delete(worker) && this.#awaited.size === 0) this.#finish()
  }
}
