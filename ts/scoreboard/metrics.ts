/** The metrics that the native engine counts in the scoreboard's shared memory. */

import { CELL_RANGES, JAVASCRIPT_CELLS, LOOP_CELLS } from '../metrics/cells.ts'
import { DURATION_BOUNDS } from '../metrics/table.ts'
import type { NativeScoreboard } from '../native/index.ts'
import type { ResponseReading } from './board.ts'

/** The metrics of one worker, or of all workers that have exited. */
export interface SlotMetrics {
  /** The cells of the metrics table, see `ts/metrics/cells.ts`. */
  readonly cells: Float64Array
  /**
   * The durations of requests by the number of their series: the buckets, and the sum in
   * microseconds.
   */
  readonly series: ReadonlyMap<number, Float64Array>
}

/** The metrics of all workers of one arbiter. */
export interface ScoreboardMetrics {
  /** The counters of workers that have exited, and those of the earlier arbiter of an upgrade. */
  readonly exited: SlotMetrics
  /** The running workers by slot. */
  readonly slots: ReadonlyMap<number, SlotMetrics>
}

/** Reads the metrics of a slot; 0 means all released slots. */
export function readSlotMetrics(
  page: NativeScoreboard,
  slot: number,
  keys: readonly number[],
): SlotMetrics {
  const values = page.readMetrics(slot, keys.length)
  const series = new Map<number, Float64Array>()
  for (const [index, key] of keys.entries()) {
    const start = CELLS + index * SERIES_CELLS
    const durations = values.subarray(start, start + SERIES_CELLS)
    // A worker has only some of the series that all workers have.
    if (durations.some((count) => count > 0)) series.set(key, durations)
  }
  return { cells: values.subarray(0, CELLS), series }
}

/** Reads the counters of an earlier arbiter's scoreboard: those of all its workers. */
export function readEarlierMetrics(page: NativeScoreboard): SlotMetrics {
  const keys = page.seriesKeys()
  const slots = Array.from({ length: page.slots + 1 }, (_, slot) => slot)
  const used = slots.filter((slot) => slot === 0 || page.read(slot).state !== FREE)
  const sum = addMetrics(used.map((slot) => readSlotMetrics(page, slot, keys)))
  for (const { row, start, count } of CELL_RANGES) {
    if (row.kind === 'gauge') sum.cells.fill(0, start, start + count)
  }
  return sum
}

/** Adds the metrics of several workers. */
export function addMetrics(all: readonly SlotMetrics[]): SlotMetrics {
  const cells = new Float64Array(CELLS)
  const series = new Map<number, Float64Array>()
  for (const one of all) {
    addTo(cells, one.cells)
    for (const [key, durations] of one.series) {
      const sum = series.get(key)
      if (sum === undefined) series.set(key, durations.slice())
      else addTo(sum, durations)
    }
  }
  return { cells, series }
}

/** Returns the requests of all series by class of status and by duration. */
export function summarize({ series }: SlotMetrics): ResponseReading {
  const status = [0, 0, 0, 0, 0]
  const counts = new Array<number>(DURATION_BOUNDS.length + 1).fill(0)
  let sum = 0
  for (const [key, durations] of series) {
    const statusClass = Math.floor((key & STATUS_MASK) / 100) - 1
    for (const index of counts.keys()) {
      const count = durations[index] ?? 0
      counts[index] = (counts[index] ?? 0) + count
      if (statusClass in status) status[statusClass] = (status[statusClass] ?? 0) + count
    }
    sum += (durations.at(-1) ?? 0) / MICROSECONDS
  }
  const bounds = DURATION_BOUNDS.map((bound) => bound / MICROSECONDS)
  return { status, latency: { bounds, counts, sum } }
}

function addTo(sum: Float64Array, values: Float64Array): void {
  for (let index = 0; index < sum.length; index += 1) {
    sum[index] = (sum[index] ?? 0) + (values[index] ?? 0)
  }
}

const CELLS = LOOP_CELLS + JAVASCRIPT_CELLS
/** Cells of a series: a bucket for each of the 14 bounds, one for slower requests, and the sum. */
const SERIES_CELLS = 16
/** The bits of a series' number that are its status code, see `SeriesKey` in Rust. */
const STATUS_MASK = 0xfff
const MICROSECONDS = 1_000_000
/** Number of the state of a free slot. */
const FREE = 0
