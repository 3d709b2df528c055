/**
 * Metrics and health checks in the arbiter: counts what happens to workers, collects what the
 * workers count, and serves the pages of `metrics_bind`.
 */

import type { Listener } from '../../listen/socket.ts'
import { logLine, logThrown } from '../../log/log-lines.ts'
import type { Logger } from '../../log/logger.ts'
import type { PageServer } from '../../metrics/server.ts'
import type { RuntimeReport } from '../../metrics/worker-report.ts'
import type { System } from '../../process/system.ts'
import type { ArbiterScoreboard } from '../../scoreboard/board.ts'
import type { Generation } from '../generation.ts'
import type { InheritedListener } from '../upgrade-state.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { Workers } from '../workers.ts'
import type { DrainDelay } from './drain-delay.ts'
import {
  LifecycleCounters,
  type LifecycleTotals,
  type ReloadOutcome,
} from './lifecycle-counters.ts'
import { descriptorForServer } from './metrics-listener.ts'
import { Pages } from './pages.ts'
import { RecentEvents } from './recent-events.ts'
import { RecentLoad } from './recent-load.ts'
import { StatusPages } from './status-pages.ts'
import { type ReportMessage, WorkerReports } from './worker-reports.ts'

/** What the monitoring reads of the arbiter. */
export interface MonitoringSources {
  readonly log: Logger
  readonly scoreboard: ArbiterScoreboard
  readonly workers: Workers
  readonly isNative: boolean
  readonly wantedWorkers: () => number
  readonly currentGeneration: () => Generation | undefined
  readonly drainDelay: DrainDelay
  /** Returns whether the server is about to stop, and no other arbiter serves. */
  readonly isStopping: () => boolean
  /** Returns whether the arbiter that started this one still serves. */
  readonly hasPredecessor: () => boolean
  /** Counters of that arbiter. */
  readonly earlier: LifecycleTotals | undefined
}

/** What an upgrade passes on for the monitoring. */
export interface MonitoringHandover {
  readonly lifecycle: LifecycleTotals
  readonly metrics?: InheritedListener
}

/** The new arbiter begins to serve this long after it is ready: the old one has stopped by then. */
const HANDOVER_MS = 200
const DEFAULT_BACKLOG = 64

/** Counts, collects and serves. */
export class Monitoring {
  readonly #system: System
  readonly #sources: MonitoringSources
  readonly #counters: LifecycleCounters
  readonly #reports: WorkerReports
  readonly #load: RecentLoad
  readonly #events: RecentEvents
  readonly #pages: Pages
  #generation: Generation | undefined
  #server: { readonly fd: number; readonly server: Promise<PageServer> } | undefined
  #isSuccessorServing = false
  #isClosed = false

  constructor(system: System, sources: MonitoringSources) {
    this.#system = system
    this.#sources = sources
    this.#counters = new LifecycleCounters(system)
    this.#reports = new WorkerReports(system, sources)
    this.#load = new RecentLoad(system, sources)
    this.#events = new RecentEvents(system)
    const seen = { reports: this.#reports, load: this.#load, events: this.#events }
    this.#pages = new Pages(system, {
      ...sources,
      counters: this.#counters,
      reports: this.#reports,
      status: new StatusPages(system, { ...sources, ...seen }),
    })
    if (sources.earlier !== undefined) this.#counters.continueFrom(sources.earlier)
  }

  /** Serves at the address of a generation that has become current. */
  applyGeneration(generation: Generation): void {
    this.#generation = generation
    this.publishState()
    if (!this.#sources.hasPredecessor()) this.#serve()
  }

  /** Publishes the state of the server to the workers. Called once a second and at each change. */
  publishState(): void {
    const { scoreboard, wantedWorkers, isStopping } = this.#sources
    const timeoutMs = (this.#generation?.config.timeout ?? 0) * 1_000
    const state = { wantedWorkers: wantedWorkers(), isStopping: isStopping(), timeoutMs }
    scoreboard.publishServerState(state)
  }

  /** Does the work of each second. */
  runEverySecond(): void {
    this.publishState()
    if (this.#server === undefined) return
    const workers = this.#sources.workers.list()
    this.#counters.readUsage(workers)
    this.#load.sample(workers)
    this.#reports.askNewWorkers()
  }

  /** Begins the stop: readiness fails. Returns whether the stop has to wait for `drain_delay`. */
  deferStop(): boolean {
    const isDeferred = this.#sources.drainDelay.deferStop()
    this.publishState()
    return isDeferred
  }

  recordReady(worker: WorkerHandle): void {
    this.#counters.recordReady(worker)
    const { workers, wantedWorkers } = this.#sources
    const isComplete = workers.countServing() >= wantedWorkers()
    if (this.#server === undefined && isComplete) {
      void this.#system.sleep(HANDOVER_MS).then(() => this.#serve())
    }
  }

  recordExit(worker: WorkerHandle): void {
    const reason = this.#counters.recordExit(worker, this.#sources.currentGeneration())
    if (reason !== undefined) this.#events.recordRestart(worker, reason)
    this.#load.handleExit(worker)
    this.#reports.handleExit(worker)
  }

  /** Records the end of a reload. `error` is the reason of a failure. */
  recordReload(outcome: ReloadOutcome, error: string): void {
    this.#counters.recordReload(outcome)
    const number = this.#sources.currentGeneration()?.number ?? 0
    this.#events.recordReload(outcome, { number, error })
  }

  /** Returns the number of reloads by outcome, with those of earlier arbiters. */
  get reloads(): Readonly<Record<ReloadOutcome, number>> {
    return this.#counters.reloads
  }

  /** Asks all workers for reports. Resolves when they have answered, or after this time. */
  collectReports(waitMs: number): Promise<void> {
    return this.#reports.collect(waitMs)
  }

  /** Returns what a worker has reported last about its Node.js, if it has reported. */
  runtimeOf(worker: WorkerHandle): RuntimeReport | undefined {
    return this.#reports.latest.get(worker)?.runtime
  }

  handleReport(worker: WorkerHandle, report: ReportMessage): void {
    this.#reports.handleReport(worker, report)
  }

  /** Stops to serve while a new arbiter does, and serves again when it has exited. */
  setSuccessorServing(isServing: boolean): void {
    this.#isSuccessorServing = isServing
    if (isServing) this.#stopServing()
    else this.#serve()
  }

  /** Returns what a new arbiter continues; `fd` is the descriptor of the listener there. */
  handOver(fd: number): MonitoringHandover & { readonly fds: readonly number[] } {
    const lifecycle = this.#counters.totals()
    const listener = this.#generation?.metricsListener
    if (listener === undefined) return { lifecycle, fds: [] }
    const { bind, socketFile } = listener
    const path = socketFile === undefined ? {} : { path: socketFile }
    return { lifecycle, metrics: { fd, bind, ...path }, fds: [listener.fd] }
  }

  /** Stops to serve, when the arbiter has stopped. */
  close(): void {
    this.#isClosed = true
    this.#stopServing()
  }

  #serve(): void {
    const listener = this.#generation?.metricsListener
    const isUnchanged = listener?.fd === this.#server?.fd
    if (isUnchanged || this.#isSuccessorServing || this.#isClosed) return
    this.#stopServing()
    if (listener === undefined) return
    const server = this.#startServer(listener)
    this.#server = { fd: listener.fd, server }
    server.catch((error: unknown) => this.#logError(error))
  }

  /** Loads the server only where it is needed: Node's HTTP code takes memory. */
  async #startServer(listener: Listener): Promise<PageServer> {
    const { servePages } = await import('../../metrics/server.ts')
    this.#load.sample(this.#sources.workers.list())
    const backlog = this.#generation?.config.backlog ?? DEFAULT_BACKLOG
    logLine(this.#sources.log, 'servingMetrics', listener.address)
    return servePages(
      descriptorForServer(listener, backlog),
      (request) => this.#pages.render(request),
      (error) => this.#logError(error),
    )
  }

  #stopServing(): void {
    // An error of the start has been logged.
    this.#server?.server.then(
      (server) => server.close(),
      () => {},
    )
    this.#server = undefined
  }

  #logError(thrown: unknown): void {
    logThrown(this.#sources.log, { name: 'unexpectedError', thrown })
  }
}
