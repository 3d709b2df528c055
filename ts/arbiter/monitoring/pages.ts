/** The pages that the arbiter serves at `metrics_bind`: the metrics and the health checks. */

import { rangeOf } from '../../metrics/cells.ts'
import { engineFamilies } from '../../metrics/engine-metrics.ts'
import { createFamily, type Family, sampleOf } from '../../metrics/families.ts'
import { type HealthCheck, renderHealth } from '../../metrics/health.ts'
import { CONTENT_TYPES, negotiateFormat, renderPage } from '../../metrics/page.ts'
import type { Page, PageRequest } from '../../metrics/server.ts'
import { METRICS, type MetricKey } from '../../metrics/table.ts'
import { native } from '../../native/index.ts'
import type { System } from '../../process/system.ts'
import type { SlotReading } from '../../scoreboard/board.ts'
import type { ScoreboardMetrics } from '../../scoreboard/metrics.ts'
import { excessiveSilenceMs } from '../heartbeat.ts'
import type { WorkerState } from '../states.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { LifecycleCounters } from './lifecycle-counters.ts'
import { LoopUtilizationMeter } from './loop-utilization.ts'
import type { MonitoringSources } from './monitoring.ts'
import { processFamilies, runtimeFamilies } from './process-families.ts'
import type { StatusPages } from './status-pages.ts'
import type { WorkerReports } from './worker-reports.ts'

/** What the pages show. */
export interface PageSources extends MonitoringSources {
  readonly counters: LifecycleCounters
  readonly reports: WorkerReports
  readonly status: StatusPages
}

/** The states of workers on the page. */
export const SHOWN_STATES: Readonly<
  Record<WorkerState, 'booting' | 'serving' | 'draining' | 'blocked'>
> = {
  booting: 'booting',
  failing: 'booting',
  serving: 'serving',
  draining: 'draining',
  quitting: 'draining',
  killedInStop: 'draining',
  blocked: 'blocked',
  aborting: 'blocked',
  killedInFailure: 'blocked',
  gone: 'draining',
}

/** The cells of the connections that are in a state other than idle. */
const BUSY_STATES = rangeOf('connections')

/** Renders the pages. */
export class Pages {
  readonly #system: System
  readonly #sources: PageSources
  readonly #startedAtSeconds: number
  readonly #utilization = new LoopUtilizationMeter()

  constructor(system: System, sources: PageSources) {
    this.#system = system
    this.#sources = sources
    this.#startedAtSeconds = system.date().getTime() / 1_000
  }

  async render({ path, query, accept }: PageRequest): Promise<Page> {
    const isVerbose = query.has('verbose')
    if (path === '/livez') return renderHealth('livez', this.#checkLiveness(), isVerbose)
    if (path === '/readyz') return renderHealth('readyz', this.#checkReadiness(), isVerbose)
    if (path === '/') return this.#sources.status.renderPage()
    if (path === '/status.json') {
      return this.#sources.status.renderReport(query, this.#checkReadiness())
    }
    if (path !== '/metrics') {
      const body = 'The pages are /, /status.json, /metrics, /livez and /readyz.\n'
      return { status: 404, contentType: 'text/plain; charset=utf-8', body }
    }
    await this.#sources.reports.collect()
    const format = negotiateFormat(accept)
    const families = this.#families({ byWorker: query.get('by') === 'worker' })
    return {
      status: 200,
      contentType: CONTENT_TYPES[format],
      body: renderPage(families, format),
    }
  }

  /** Returns all families in the order of the table. */
  #families(options: { byWorker: boolean }): Family[] {
    const { isNative, scoreboard, counters } = this.#sources
    const workers = this.#sources.workers.list()
    const metrics = isNative ? scoreboard.readMetrics(workers.map(({ slot }) => slot)) : undefined
    const families = [
      ...this.#loadFamilies(workers, options),
      ...this.#workerFamilies(workers),
      ...counters.families(),
      ...this.#nodeFamilies(workers, options),
      ...(metrics === undefined ? [] : engineFamilies(metrics, options)),
      ...(metrics === undefined ? [] : [this.#idleConnections(workers, metrics, options)]),
      ...(isNative ? [this.#acceptedConnections()] : []),
      this.#backlog(),
    ]
    const own = this.#sources.reports.applicationFamilies()
    // A metric of the application replaces that of the server with the same name.
    const names = new Set(own.map(({ name }) => name))
    const merged = [...mergeFamilies(families).filter(({ name }) => !names.has(name)), ...own]
    const positions = new Map(Object.values(METRICS).map(({ name }, index) => [name, index]))
    const positionOf = ({ name }: Family) => positions.get(name as never) ?? positions.size
    return merged.sort((a, b) => positionOf(a) - positionOf(b))
  }

  /** The requests and connections that both engines count. */
  #loadFamilies(workers: readonly WorkerHandle[], { byWorker }: { byWorker: boolean }): Family[] {
    const { scoreboard, isNative } = this.#sources
    const readings = workers.map(({ slot }) => ({ slot, reading: scoreboard.read(slot) }))
    const gauge = (key: MetricKey, pick: (reading: SlotReading) => number, state = {}) => {
      const values = readings.map(({ slot, reading }) => ({ slot, value: pick(reading) }))
      const total = values.reduce((sum, { value }) => sum + value, 0)
      return createFamily(
        key,
        byWorker
          ? values.map(({ slot, value }) => sampleOf(key, value, { worker: slot, ...state }))
          : [sampleOf(key, total, state)],
      )
    }
    return [
      gauge('activeRequests', ({ inFlight }) => inFlight),
      createFamily('requests', [sampleOf('requests', scoreboard.totals().requests)]),
      // The native engine knows the state of each.
      ...(isNative ? [] : [gauge('connections', (one) => one.connections, { state: 'open' })]),
    ]
  }

  /** The open connections that are in no other state. */
  #idleConnections(
    workers: readonly WorkerHandle[],
    { slots }: ScoreboardMetrics,
    { byWorker }: { byWorker: boolean },
  ): Family {
    const idle = workers.map(({ slot }) => {
      const { connections } = this.#sources.scoreboard.read(slot)
      const busy = slots.get(slot)?.cells.subarray(BUSY_STATES.start, BUSY_STATES.end)
      const busyCount = busy?.reduce((total, count) => total + count, 0) ?? 0
      return { slot, value: Math.max(0, connections - busyCount) }
    })
    const sum = idle.reduce((total, { value }) => total + value, 0)
    const samples = byWorker
      ? idle.map(({ slot, value }) =>
          sampleOf('connections', value, { worker: slot, state: 'idle' }),
        )
      : [sampleOf('connections', sum, { state: 'idle' })]
    return createFamily('connections', samples)
  }

  #acceptedConnections(): Family {
    const { accepted } = this.#sources.scoreboard.totals()
    return createFamily('acceptedConnections', [sampleOf('acceptedConnections', accepted)])
  }

  #workerFamilies(workers: readonly WorkerHandle[]): Family[] {
    const states = ['booting', 'serving', 'draining', 'blocked'] as const
    const inState = (state: string) =>
      workers.filter((worker) => SHOWN_STATES[worker.state] === state).length
    const single = (key: MetricKey, value: number) => createFamily(key, [sampleOf(key, value)])
    return [
      createFamily(
        'workers',
        states.map((state) => sampleOf('workers', inState(state), { state })),
      ),
      single('wantedWorkers', this.#sources.wantedWorkers()),
      single('generation', this.#sources.currentGeneration()?.number ?? 0),
      single('ready', this.#checkReadiness().every(({ isOk }) => isOk) ? 1 : 0),
      single('startTime', this.#startedAtSeconds),
    ]
  }

  #nodeFamilies(workers: readonly WorkerHandle[], options: { byWorker: boolean }): Family[] {
    const { counters, reports } = this.#sources
    const usage = counters.readUsage(workers)
    const ofWorkers = <Value>(values: ReadonlyMap<WorkerHandle, Value>) =>
      [...values].map(([{ slot }, value]) => ({ slot, value }))
    const runtimes = [...reports.latest].map(([worker, { runtime }]) => ({
      slot: worker.slot,
      value: { ...runtime, utilization: this.#utilization.measure(worker, runtime) },
    }))
    return [
      ...processFamilies(ofWorkers(usage), counters.exitedSeconds, options),
      ...runtimeFamilies(runtimes, options),
    ]
  }

  /** The connections that wait in the kernel, where it reports them. It takes the addon. */
  #backlog(): Family {
    const listeners = this.#sources.currentGeneration()?.listeners ?? []
    const samples = listeners.flatMap(({ fd, port, address }) => {
      try {
        if (native === null || port === undefined) return []
        return [sampleOf('listenBacklog', native.countPendingConnections(fd), { address })]
      } catch {
        // Not Linux, or the socket has just been closed.
        return []
      }
    })
    return createFamily('listenBacklog', samples)
  }

  /** Alive: this loop turns, and not every worker is blocked. */
  #checkLiveness(): HealthCheck[] {
    const nowMs = this.#system.now()
    const { scoreboard } = this.#sources
    const serving = this.#sources.workers.list().filter(({ readyAtMs }) => readyAtMs !== undefined)
    const blocked = serving.filter(
      (worker) => excessiveSilenceMs(worker, scoreboard.read(worker.slot), nowMs) !== undefined,
    )
    return [
      { name: 'arbiter', isOk: true, finding: 'the loop turns' },
      {
        name: 'workers',
        isOk: serving.length === 0 || blocked.length < serving.length,
        finding:
          `${blocked.length} of ${serving.length} are blocked for longer than timeout` +
          blocked.map(({ slot, pid }) => `, worker ${slot} (pid: ${pid})`).join(''),
      },
    ]
  }

  /** Ready: at least half of the workers accept connections, and the server does not stop. */
  #checkReadiness(): HealthCheck[] {
    const { workers, wantedWorkers, isStopping } = this.#sources
    const [serving, wanted] = [workers.countServing(), wantedWorkers()]
    return [
      {
        name: 'workers',
        isOk: serving > 0 && serving * 2 >= wanted,
        finding: `${serving} of ${wanted} accept connections, at least half must`,
      },
      {
        name: 'stopping',
        isOk: !isStopping(),
        finding: isStopping() ? 'the server is about to stop' : 'no',
      },
    ]
  }
}

/** Joins families of the same name. */
function mergeFamilies(families: readonly Family[]): Family[] {
  const merged = new Map<string, Family>()
  for (const family of families) {
    const before = merged.get(family.name)
    const samples = [...(before?.samples ?? []), ...family.samples]
    merged.set(family.name, { ...family, samples })
  }
  return [...merged.values()]
}
