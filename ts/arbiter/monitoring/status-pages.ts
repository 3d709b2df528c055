/** The status page and its data, as `/` and `/status.json` of `metrics_bind`. */

import type { HealthCheck } from '../../metrics/health.ts'
import type { Page } from '../../metrics/server.ts'
import { loadStatusPage } from '../../metrics/status-page.ts'
import type { System } from '../../process/system.ts'
import { readPackageVersion } from '../../process/version.ts'
import { takeWorkerSnapshot, type WorkerSnapshot } from '../../scoreboard/worker-snapshot.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { HistoryReport } from './history.ts'
import { LoopUtilizationMeter } from './loop-utilization.ts'
import type { MonitoringSources } from './monitoring.ts'
import { SHOWN_STATES } from './pages.ts'
import type { RecentEvent, RecentEvents } from './recent-events.ts'
import type { RecentLoad, WorkerLoad } from './recent-load.ts'
import type { WorkerReports } from './worker-reports.ts'

/** What the status page shows. */
export interface StatusSources
  extends Pick<
    MonitoringSources,
    'scoreboard' | 'workers' | 'isNative' | 'wantedWorkers' | 'currentGeneration'
  > {
  readonly reports: WorkerReports
  readonly load: RecentLoad
  readonly events: RecentEvents
}

/** The document `/status.json`. Times are in seconds since 1970, durations in seconds. */
export interface ServerStatus {
  readonly at: number
  readonly startedAt: number
  readonly pid: number
  readonly version: string
  readonly node: string
  readonly app: string | null
  readonly isNative: boolean
  readonly generation: number
  readonly isReady: boolean
  readonly checks: readonly HealthCheck[]
  readonly wantedWorkers: number
  readonly workers: readonly WorkerStatus[]
  readonly history: HistoryReport
  /** The latest first. */
  readonly events: readonly RecentEvent[]
}

/** One worker in the document. A value that is not known is null. */
export interface WorkerStatus extends WorkerSnapshot, WorkerLoad {
  readonly state: 'booting' | 'serving' | 'draining' | 'blocked'
  /** Share of time in which the event loop was busy, from 0 to 1. */
  readonly utilization: number | null
}

/** Renders the page and its data. */
export class StatusPages {
  readonly #system: System
  readonly #sources: StatusSources
  readonly #utilization = new LoopUtilizationMeter()
  readonly #startedAt: number
  #page: Page | undefined

  constructor(system: System, sources: StatusSources) {
    this.#system = system
    this.#sources = sources
    this.#startedAt = system.date().getTime() / 1_000
  }

  renderPage(): Page {
    this.#page ??= loadStatusPage()
    return this.#page
  }

  /** Renders the data; `since` in the query is the number of the first sample. */
  async renderReport(query: URLSearchParams, checks: readonly HealthCheck[]): Promise<Page> {
    await this.#sources.reports.collect()
    const status = this.#describeServer(Number(query.get('since') ?? Number.NaN), checks)
    return {
      status: 200,
      contentType: 'application/json; charset=utf-8',
      body: JSON.stringify(status),
      headers: { 'Cross-Origin-Resource-Policy': 'same-origin' },
    }
  }

  #describeServer(since: number, checks: readonly HealthCheck[]): ServerStatus {
    const { isNative, workers, wantedWorkers, currentGeneration, load, events } = this.#sources
    const generation = currentGeneration()
    return {
      at: this.#system.date().getTime() / 1_000,
      startedAt: this.#startedAt,
      pid: this.#system.pid,
      version: readPackageVersion(),
      node: process.version,
      app: generation === undefined ? null : String(generation.config.app),
      isNative,
      generation: generation?.number ?? 0,
      isReady: checks.every(({ isOk }) => isOk),
      checks,
      wantedWorkers: wantedWorkers(),
      workers: workers.list().map((worker) => this.#describeWorker(worker)),
      history: load.history.report(since),
      events: events.list(),
    }
  }

  #describeWorker(worker: WorkerHandle): WorkerStatus {
    const { reports, scoreboard, load } = this.#sources
    const runtime = reports.latest.get(worker)?.runtime
    return {
      ...takeWorkerSnapshot(this.#system, scoreboard, worker),
      state: SHOWN_STATES[worker.state],
      ...load.loadOf(worker),
      utilization: runtime === undefined ? null : this.#utilization.measure(worker, runtime),
    }
  }
}
