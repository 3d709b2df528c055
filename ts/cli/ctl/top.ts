/** The table of `monoceros ctl top`: rates of each worker, from two readings of its counters. */

import { sendCommand } from '../../control/client.ts'
import type { ControlAnswer } from '../../control/protocol.ts'
import type { LoadReport, WorkerLoad } from '../../control/reports.ts'
import { system } from '../../process/system.ts'
import { latencyQuantile, subtractLatency } from '../../scoreboard/quantiles.ts'
import {
  colorize,
  cutLine,
  escapeControls,
  formatBytes,
  formatDuration,
  formatTable,
  type Style,
} from '../../text/format.ts'

const INTERVAL_MS = 1_000

/** What `top` shows about the server; durations are in seconds. */
export interface TopReport {
  readonly pid: number
  readonly app: string
  readonly phase: string
  readonly uptime: number
  readonly requestsPerSecond: number
  readonly inFlight: number
  /** Number of connections that wait to be accepted. */
  readonly queued: number | null
  readonly workers: readonly TopWorker[]
}

/** One worker in the table. */
export interface TopWorker {
  readonly pid: number
  readonly state: string
  readonly requestsPerSecond: number
  readonly p50: number | null
  readonly p99: number | null
  readonly inFlight: number
  readonly connections: number
  readonly utilization: number | null
  readonly memory: number | null
}

/** Takes readings and calls back with each report, until the signal or an error ends it. */
export async function watchLoad(
  path: string,
  { signal, onReport }: { signal?: AbortSignal; onReport: (report: TopReport) => boolean },
): Promise<ControlAnswer> {
  let earlier: LoadReport | undefined
  while (signal?.aborted !== true) {
    const answer = await sendCommand(path, {
      command: 'top',
      args: [],
      ...(signal === undefined ? {} : { signal }),
    })
    // An aborted command has no data.
    if (!answer.ok || !isLoad(answer.data)) return answer
    if (earlier !== undefined && !onReport(compareLoads(earlier, answer.data))) return answer
    earlier = answer.data
    await new Promise<void>((done) => void system.after(INTERVAL_MS, done))
  }
  return { ok: true, data: null }
}

function isLoad(data: unknown): data is LoadReport {
  return typeof data === 'object' && data !== null && 'workers' in data
}

/** Computes rates from two readings. */
export function compareLoads(earlier: LoadReport, later: LoadReport): TopReport {
  const { pid, app, name, phase, uptime, inFlight } = later.status
  const seconds = Math.max(later.at - earlier.at, Number.EPSILON)
  const workers = later.workers.map((worker) => {
    // A pid belongs to one worker only: its successor has another.
    const before = earlier.workers.find((one) => one.pid === worker.pid)
    return compareWorker(worker, before, seconds)
  })
  const requestsPerSecond = workers.reduce((sum, worker) => sum + worker.requestsPerSecond, 0)
  return {
    ...{ pid, app: name ?? app, phase, uptime, requestsPerSecond, inFlight },
    queued: later.queued,
    workers,
  }
}

function compareWorker(
  worker: WorkerLoad,
  before: WorkerLoad | undefined,
  seconds: number,
): TopWorker {
  const { pid, state, inFlight, connections, utilization, memory, latency } = worker
  const recent =
    latency === null ? undefined : subtractLatency(latency, before?.latency ?? undefined)
  const quantile = (share: number) =>
    recent === undefined ? null : (latencyQuantile(recent, share) ?? null)
  const requestsPerSecond = (worker.requests - (before?.requests ?? 0)) / seconds
  return {
    ...{ pid, state, requestsPerSecond, p50: quantile(0.5), p99: quantile(0.99) },
    ...{ inFlight, connections, utilization, memory },
  }
}

/** Shows one report as text. */
export function formatTop(report: TopReport, style: Style): string {
  const { app, pid, phase, uptime, requestsPerSecond, inFlight, queued, workers } = report
  const head = [
    `${escapeControls(app)} (${pid})`,
    phase,
    `up ${formatDuration(uptime)}`,
    `${requestsPerSecond.toFixed(1)} requests/s`,
    `${inFlight} in flight`,
    ...(queued === null ? [] : [`${queued} queued`]),
  ]
  const heading = ['PID', 'STATE', 'REQ/S', 'P50', 'P99', 'FLIGHT', 'CONNS', 'LOOP', 'MEMORY']
  const rows = workers.map((worker) => [
    String(worker.pid),
    worker.state,
    worker.requestsPerSecond.toFixed(1),
    worker.p50 === null ? '-' : formatDuration(worker.p50),
    worker.p99 === null ? '-' : formatDuration(worker.p99),
    String(worker.inFlight),
    String(worker.connections),
    worker.utilization === null ? '-' : `${Math.round(worker.utilization * 100)}%`,
    worker.memory === null ? '-' : formatBytes(worker.memory),
  ])
  const title = colorize(cutLine(head.join(', '), style.columns), 'bold', style)
  return `${title}\n${formatTable([heading, ...rows], style)}`
}
