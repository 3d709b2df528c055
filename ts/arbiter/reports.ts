/** Describes the state of the arbiter, for the commands of the control socket. */

import type {
  LatencyReport,
  ListenerReport,
  LoadReport,
  SettingReport,
  StatsReport,
  StatusReport,
  WorkerReport,
} from '../control/reports.ts'
import { native } from '../native/index.ts'
import type { System } from '../process/system.ts'
import type {
  ArbiterScoreboard,
  LatencyHistogram,
  ResponseReading,
  ScoreboardTotals,
} from '../scoreboard/board.ts'
import { latencyQuantile } from '../scoreboard/quantiles.ts'
import { takeWorkerSnapshot } from '../scoreboard/worker-snapshot.ts'
import { describeSettings } from '../settings/print.ts'
import type { ArbiterDependencies } from './dependencies.ts'
import type { ExtraListeners } from './extra-listeners.ts'
import { formatListenerAddress, isTlsListener } from './generation.ts'
import { LoopUtilizationMeter } from './monitoring/loop-utilization.ts'
import type { Monitoring } from './monitoring/monitoring.ts'
import type { Phase } from './reactions.ts'
import type { Rollout } from './rollout.ts'
import type { Supervisor } from './supervisor.ts'
import type { ArbiterUpgrade } from './upgrade.ts'
import type { WorkerCount } from './worker-count.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** Parts of the arbiter that reports are made from. */
export interface ReportSources {
  readonly system: System
  readonly dependencies: ArbiterDependencies
  readonly rollout: Rollout
  readonly supervisor: Supervisor
  readonly workerCount: WorkerCount
  readonly extraListeners: ExtraListeners
  readonly monitoring: Monitoring
  readonly upgrade: ArbiterUpgrade
  readonly getPhase: () => Phase
}

const MILLISECONDS = 1_000

const LAST_RELOADS = { succeeded: 'complete', failed: 'failed', none: null } as const

/** Makes the reports of one arbiter. */
export class Reports {
  readonly #sources: ReportSources
  readonly #startedAtMs: number
  readonly #utilization = new LoopUtilizationMeter()

  constructor(sources: ReportSources) {
    this.#sources = sources
    this.#startedAtMs = sources.system.now()
  }

  status(): StatusReport {
    const { system, dependencies, rollout, supervisor, workerCount, upgrade } = this.#sources
    const generation = rollout.currentGeneration
    const config = generation?.config ?? dependencies.settings.values
    const workers = supervisor.workers.list()
    const count = (state: string) => workers.filter((worker) => worker.state === state).length
    const [serving, booting] = [count('serving'), count('booting')]
    return {
      pid: system.pid,
      version: dependencies.version,
      app: String(config.app),
      name: config.proc_name,
      phase: this.#sources.getPhase(),
      engine: dependencies.engineDescription,
      uptime: this.#secondsSince(this.#startedAtMs),
      generation: generation?.number ?? 0,
      addresses: this.listeners().map(({ address }) => address),
      workers: {
        wanted: workerCount.wanted,
        serving,
        booting,
        stopping: workers.length - serving - booting,
      },
      inFlight: this.#sum('inFlight'),
      lastReload: LAST_RELOADS[rollout.reloads.lastOutcome ?? 'none'],
      successor: upgrade.successorPid ?? null,
      predecessor: upgrade.predecessorPid ?? null,
    }
  }

  workers(): WorkerReport[] {
    return this.#sources.supervisor.workers.list().map((worker) => this.#describeWorker(worker))
  }

  /** Describes the load of all workers, by their latest reports. */
  load(): LoadReport {
    const workers = this.#sources.supervisor.workers.list().map((worker) => {
      const runtime = this.#sources.monitoring.runtimeOf(worker)
      return {
        ...this.#describeWorker(worker),
        utilization: runtime === undefined ? null : this.#utilization.measure(worker, runtime),
        latency: this.#board.readResponses(worker.slot)?.latency ?? null,
      }
    })
    const pending = this.listeners().flatMap((listener) => listener.pending ?? [])
    return {
      at: this.#sources.system.now() / MILLISECONDS,
      status: this.status(),
      queued: pending.length === 0 ? null : pending.reduce((sum, count) => sum + count, 0),
      workers,
    }
  }

  stats(): StatsReport {
    const { dependencies, monitoring, supervisor } = this.#sources
    const totals = dependencies.scoreboard.totals()
    const responses = dependencies.scoreboard.readResponses(0)
    const { succeeded: complete, failed } = monitoring.reloads
    return {
      uptime: this.#secondsSince(this.#startedAtMs),
      requests: totals?.requests ?? this.#sum('requests'),
      inFlight: this.#sum('inFlight'),
      connections: this.#sum('connections'),
      workersStarted: supervisor.spawnedCount,
      reloads: { complete, failed },
      totals:
        totals === undefined || responses === undefined ? null : describeTotals(totals, responses),
    }
  }

  settings(): SettingReport[] {
    const { dependencies, rollout } = this.#sources
    const { config, origins } = rollout.currentGeneration ?? {}
    const { values, origins: first } = dependencies.settings
    return describeSettings({ values: config ?? values, origins: origins ?? first })
  }

  listeners(): ListenerReport[] {
    const { rollout, extraListeners } = this.#sources
    const generation = rollout.currentGeneration
    const bound = (generation?.listeners ?? []).map((listener): ListenerReport => {
      return {
        address: generation === undefined ? '' : formatListenerAddress(listener, generation),
        by: 'bind',
        isSecure: isTlsListener(listener, generation?.watchedTls),
        pending: listener.port === undefined ? null : countPending(listener.fd),
      }
    })
    const extra = extraListeners.listOpen().map(({ host, port, fd }): ListenerReport => {
      const address = `${host === null ? '*' : host}:${port}`
      return { address, by: 'application', isSecure: false, pending: countPending(fd) }
    })
    return [...bound, ...extra]
  }

  #describeWorker(worker: WorkerHandle): WorkerReport {
    const { age, state } = worker
    const snapshot = takeWorkerSnapshot(this.#sources.system, this.#board, worker)
    return { ...snapshot, age, state, leads: worker.isLeading() }
  }

  get #board(): ArbiterScoreboard {
    return this.#sources.dependencies.scoreboard
  }

  #sum(counter: 'inFlight' | 'requests' | 'connections'): number {
    const workers = this.#sources.supervisor.workers.list()
    return workers.reduce((sum, { slot }) => sum + this.#board.read(slot)[counter], 0)
  }

  #secondsSince(ms: number): number {
    return (this.#sources.system.now() - ms) / MILLISECONDS
  }
}

function describeTotals(
  { accepted, bytesIn, bytesOut }: ScoreboardTotals,
  { status, latency }: ResponseReading,
): StatsReport['totals'] {
  const [informational = 0, success = 0, redirection = 0, client = 0, server = 0] = status
  const classes = {
    '1xx': informational,
    '2xx': success,
    '3xx': redirection,
    '4xx': client,
    '5xx': server,
  }
  return { accepted, bytesIn, bytesOut, status: classes, latency: describeLatency(latency) }
}

function describeLatency(latency: LatencyHistogram): LatencyReport | null {
  const count = latency.counts.reduce((sum, bucket) => sum + bucket, 0)
  const p50 = latencyQuantile(latency, 0.5)
  const p99 = latencyQuantile(latency, 0.99)
  return p50 === undefined || p99 === undefined ? null : { mean: latency.sum / count, p50, p99 }
}

function countPending(fd: number): number | null {
  try {
    return native?.countPendingConnections(fd) ?? null
  } catch {
    // The system does not count them (macOS).
    return null
  }
}
