/** The metrics that the native engine counts in the scoreboard's shared memory. */

import { CELL_RANGES, JAVASCRIPT_CELLS, LOOP_CELLS } from '../metrics/cells.ts'
import type { NativeScoreboard } from '../native/index.ts'

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

function addTo(sum: Float64Array, values: Float64Array): void {
  for (let index = 0; index < sum.length; index += 1) {
    sum[index] = (sum[index] ?? 0) + (values[index] ?? 0)
  }
}

const CELLS = LOOP_CELLS + JAVASCRIPT_CELLS
/** Cells of a series: a bucket for each of the 14 bounds, one for slower requests, and the sum. */
const SERIES_CELLS = 16
/** Number of the state of a free slot. */
const FREE = 0
