/**
 * The load of the last seconds: a sample of all workers for the history, and the rate and the
 * durations of each worker. Both come from counters that only grow.
 */

import { rangeOf } from '../../metrics/cells.ts'
import { DURATION_BOUNDS } from '../../metrics/table.ts'
import type { System } from '../../process/system.ts'
import type { ArbiterScoreboard, LatencyHistogram } from '../../scoreboard/board.ts'
import { addMetrics, type SlotMetrics, summarize } from '../../scoreboard/metrics.ts'
import { latencyQuantile, subtractLatency } from '../../scoreboard/quantiles.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import { History, type HistorySample } from './history.ts'

/** What the samples are read from. */
export interface LoadSources {
  readonly scoreboard: ArbiterScoreboard
  readonly isNative: boolean
}

/** The load of one worker. Without requests, or without the native engine, durations are null. */
export interface WorkerLoad {
  /** Finished requests per second. */
  readonly requestRate: number | null
  readonly p50: number | null
  readonly p99: number | null
}

/** Counters at one time. */
interface Reading {
  readonly atMs: number
  readonly requests: number
  readonly errors: number
  readonly latency: LatencyHistogram
  readonly queue: LatencyHistogram
}

/** Seconds that the load of a worker is about. */
const WINDOW = 10

/** Samples the counters once a second. */
export class RecentLoad {
  readonly history = new History()
  readonly #system: System
  readonly #sources: LoadSources
  readonly #ofWorkers = new Map<WorkerHandle, Reading[]>()
  #before: Reading | undefined

  constructor(system: System, sources: LoadSources) {
    this.#system = system
    this.#sources = sources
  }

  /** Reads the counters of the workers. Called at the start and once a second. */
  sample(workers: readonly WorkerHandle[]): void {
    const elapsedMs = this.#system.now() - (this.#before?.atMs ?? Number.NEGATIVE_INFINITY)
    if (elapsedMs < MIN_SAMPLE_MS) return
    const { scoreboard, isNative } = this.#sources
    const slots = workers.map(({ slot }) => slot)
    const metrics = isNative ? scoreboard.readMetrics(slots) : undefined
    let inFlight = 0
    for (const worker of workers) {
      const { requests, inFlight: own } = scoreboard.read(worker.slot)
      inFlight += own
      const readings = this.#ofWorkers.get(worker) ?? []
      readings.push(this.#readingOf(requests, metrics?.slots.get(worker.slot)))
      if (readings.length > WINDOW + 1) readings.shift()
      this.#ofWorkers.set(worker, readings)
    }
    const sum =
      metrics === undefined ? undefined : addMetrics([metrics.exited, ...metrics.slots.values()])
    const now = this.#readingOf(scoreboard.totals().requests, sum)
    if (this.#before !== undefined)
      this.history.add(now.atMs, { ...compare(now, this.#before), inFlight })
    this.#before = now
  }

  loadOf(worker: WorkerHandle): WorkerLoad {
    const readings = this.#ofWorkers.get(worker) ?? []
    const [first, last] = [readings[0], readings.at(-1)]
    if (first === undefined || last === undefined || first === last)
      return { requestRate: null, p50: null, p99: null }
    const { requests, p50, p99 } = compare(last, first)
    return { requestRate: requests, p50: known(p50), p99: known(p99) }
  }

  handleExit(worker: WorkerHandle): void {
    this.#ofWorkers.delete(worker)
  }

  #readingOf(requests: number, metrics: SlotMetrics | undefined): Reading {
    const atMs = this.#system.now()
    if (metrics === undefined) {
      return { atMs, requests, errors: Number.NaN, latency: NO_LATENCY, queue: NO_LATENCY }
    }
    const { status, latency } = summarize(metrics)
    const cells = metrics.cells.subarray(QUEUE.start, QUEUE.end - 1)
    const queue = { bounds: latency.bounds, counts: Array.from(cells), sum: 0 }
    return { atMs, requests, errors: status[SERVER_ERRORS] ?? 0, latency, queue }
  }
}

function compare(now: Reading, before: Reading): Omit<HistorySample, 'inFlight'> {
  const seconds = (now.atMs - before.atMs) / 1_000
  const latency = subtractLatency(now.latency, before.latency)
  const queue = subtractLatency(now.queue, before.queue)
  return {
    requests: Math.max(0, now.requests - before.requests) / seconds,
    errors: Math.max(0, now.errors - before.errors) / seconds,
    p50: latencyQuantile(latency, 0.5) ?? Number.NaN,
    p99: latencyQuantile(latency, 0.99) ?? Number.NaN,
    queueP99: latencyQuantile(queue, 0.99) ?? Number.NaN,
  }
}

function known(value: number): number | null {
  return Number.isNaN(value) ? null : value
}

const QUEUE = rangeOf('queueDuration')
/** Index of the class 5xx. */
const SERVER_ERRORS = 4
/** The first full second may follow the start at once. */
const MIN_SAMPLE_MS = 500
const NO_LATENCY: LatencyHistogram = {
  bounds: DURATION_BOUNDS.map((bound) => bound / 1_000_000),
  counts: [],
  sum: 0,
}
