/**
 * The history that the status page draws: one sample each second of the last 15 minutes, in memory
 * of a fixed size.
 */

/** What a sample has, in the order of the report. Durations are in seconds. */
export const HISTORY_COLUMNS = [
  /** Finished requests in a second. */
  'requests',
  /** Those that were answered with a status from 500 on. */
  'errors',
  'p50',
  'p99',
  /** 99th percentile of the time that requests waited for JavaScript. */
  'queueP99',
  'inFlight',
] as const

export type HistoryColumn = (typeof HISTORY_COLUMNS)[number]

/** One sample. A value that is not known is NaN. */
export type HistorySample = Readonly<Record<HistoryColumn, number>>

/** The samples from `start` on; JSON has null for a value that is not known. */
export interface HistoryReport {
  /** Number of the first sample in the columns, counted since the arbiter began. */
  readonly start: number
  /** Number of the next sample. */
  readonly end: number
  /** Maximum number of samples that are kept. */
  readonly capacity: number
  readonly columns: Readonly<Record<HistoryColumn, readonly number[]>>
}

/** Samples that are kept: those of 15 minutes. */
export const HISTORY_CAPACITY = 900
const SAMPLE_MS = 1_000
/** Digits of the values in a report. More are not visible in a chart. */
const DIGITS = 4

/** Keeps the latest samples. */
export class History {
  readonly #columns = new Map(
    HISTORY_COLUMNS.map((name) => [name, new Float32Array(HISTORY_CAPACITY)]),
  )
  #end = 0
  #lastAtMs: number | undefined

  /** Adds the sample of a time. Seconds without a sample become gaps. */
  add(nowMs: number, sample: HistorySample): void {
    const elapsedMs = nowMs - (this.#lastAtMs ?? nowMs - SAMPLE_MS)
    const missed = Math.max(0, Math.round(elapsedMs / SAMPLE_MS) - 1)
    this.#lastAtMs = nowMs
    // Samples that a long gap has pushed out do not have to be written.
    const gaps = Math.min(missed, HISTORY_CAPACITY)
    this.#end += missed - gaps
    for (let gap = 0; gap < gaps; gap += 1) this.#write(() => Number.NaN)
    this.#write((name) => sample[name])
  }

  /** Returns the samples from a number on, or all if that number is not one of this arbiter. */
  report(from: number): HistoryReport {
    const oldest = Math.max(0, this.#end - HISTORY_CAPACITY)
    const isKnown = Number.isInteger(from) && from >= oldest && from <= this.#end
    const start = isKnown ? from : oldest
    const columns = [...this.#columns].map(([name, values]) => {
      const read = (_: unknown, index: number) =>
        round(values[(start + index) % HISTORY_CAPACITY] ?? Number.NaN)
      return [name, Array.from({ length: this.#end - start }, read)]
    })
    return {
      start,
      end: this.#end,
      capacity: HISTORY_CAPACITY,
      columns: Object.fromEntries(columns),
    }
  }

  #write(read: (name: HistoryColumn) => number): void {
    const position = this.#end % HISTORY_CAPACITY
    for (const [name, values] of this.#columns) values[position] = read(name)
    this.#end += 1
  }
}

function round(value: number): number {
  return Number.isNaN(value) ? value : Number(value.toPrecision(DIGITS))
}
