/**
 * Collects a report of each worker for a scrape. A worker that does not answer in time, because its
 * event loop is busy or blocked, contributes what it reported last.
 */

import type { WorkerMessage } from '../../messages.ts'
import { ApplicationTotals } from '../../metrics/application-families.ts'
import { type ApplicationMetric, restoreKeys } from '../../metrics/application-report.ts'
import type { Family } from '../../metrics/families.ts'
import type { RuntimeReport } from '../../metrics/worker-report.ts'
import type { System } from '../../process/system.ts'
import type { ArbiterScoreboard } from '../../scoreboard/board.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { Workers } from '../workers.ts'

/** The message with a worker's report. */
export type ReportMessage = Extract<WorkerMessage, { type: 'metrics' }>

/** The latest report of a worker. */
export interface WorkerReport {
  readonly runtime: RuntimeReport
  /** The application's metrics as they were reported last, with the number of that report. */
  readonly application: { readonly number: number; readonly metrics: readonly ApplicationMetric[] }
}

/** How long a scrape waits for workers whose applications have metrics of their own. */
const MAX_APPLICATION_WAIT_MS = 250
/** How long it waits for the others, which report only the state of Node.js. */
const MAX_WAIT_MS = 10
/** Heartbeats are due each second: a worker that is silent for longer does not answer now. */
const MAX_SILENCE_MS = 1_500
/**
 * A worker that has not answered is neither awaited nor asked again for this long: it would answer
 * all requests of a block at its end. A reply can be lost, so there is a limit.
 */
const ASK_AGAIN_MS = 2_000

const NO_APPLICATION: WorkerReport['application'] = { number: 0, metrics: [] }

/** Holds the latest report of each worker. */
export class WorkerReports {
  readonly #system: System
  readonly #scoreboard: ArbiterScoreboard
  readonly #workers: Workers
  readonly #reports = new Map<WorkerHandle, WorkerReport>()
  readonly #totals = new ApplicationTotals()
  readonly #awaited = new Set<WorkerHandle>()
  /** When workers that have not answered yet were asked. */
  readonly #askedAtMs = new Map<WorkerHandle, number>()
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
    this.#collection ??= this.#collect(waitMs).finally(() => {
      this.#collection = undefined
    })
    return this.#collection
  }

  handleReport(worker: WorkerHandle, { runtime, application: sent }: ReportMessage): void {
    const before = this.#reports.get(worker)?.application ?? NO_APPLICATION
    // A registry that did not answer in time contributes what it had before.
    const application =
      sent === undefined
        ? before
        : { number: sent.number, metrics: restoreKeys(sent.metrics, before.metrics) }
    this.#reports.set(worker, { runtime, application })
    this.#settle(worker)
  }

  handleExit(worker: WorkerHandle): void {
    this.#totals.keep(this.#reports.get(worker)?.application.metrics ?? [])
    this.#reports.delete(worker)
    this.#settle(worker)
  }

  /** Returns the families of the application, as the workers reported them last. */
  applicationFamilies(): Family[] {
    const reports = [...this.#reports.values()].map(({ application }) => application.metrics)
    return this.#totals.families(reports)
  }

  /** Asks the workers that have not reported yet whether their applications have metrics. */
  askNewWorkers(): void {
    for (const worker of this.#workers.list()) {
      if (worker.state === 'serving' && !this.#reports.has(worker)) this.#ask(worker)
    }
  }

  get #waitMs(): number {
    const hasOwn = [...this.#reports.values()].some(({ application }) => application.number > 0)
    // A worker may have metrics of its own, and loads the code for its first report.
    const isNew = [...this.#awaited].some((worker) => !this.#reports.has(worker))
    return hasOwn || isNew ? MAX_APPLICATION_WAIT_MS : MAX_WAIT_MS
  }

  async #collect(waitMs: number | undefined): Promise<void> {
    this.#awaited.clear()
    for (const worker of this.#workers.list()) {
      if (worker.state !== 'serving' && worker.state !== 'draining') continue
      const { heartbeatAgeMs } = this.#scoreboard.read(worker.slot)
      const isDue = this.#ask(worker) || !this.#reports.has(worker)
      if (isDue && (heartbeatAgeMs ?? 0) <= MAX_SILENCE_MS) this.#awaited.add(worker)
    }
    if (this.#awaited.size === 0) return
    await new Promise<void>((done) => {
      const cancel = this.#system.after(waitMs ?? this.#waitMs, done)
      this.#finish = () => {
        cancel()
        done()
      }
    })
  }

  /** Asks a worker for a report. Returns false if it has yet to answer an earlier request. */
  #ask(worker: WorkerHandle): boolean {
    const nowMs = this.#system.now()
    const askedAtMs = this.#askedAtMs.get(worker) ?? Number.NEGATIVE_INFINITY
    if (nowMs - askedAtMs < ASK_AGAIN_MS) return false
    this.#askedAtMs.set(worker, nowMs)
    const known = this.#reports.get(worker)?.application.number ?? 0
    worker.child.send({ type: 'collectMetrics', known })
    return true
  }

  #settle(worker: WorkerHandle): void {
    this.#askedAtMs.delete(worker)
    if (this.#awaited.delete(worker) && this.#awaited.size === 0) this.#finish()
  }
}
