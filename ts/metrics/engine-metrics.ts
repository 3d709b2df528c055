/** The families of what the engines count. */

import { addMetrics, type ScoreboardMetrics, type SlotMetrics } from '../scoreboard/metrics.ts'
import { CELL_RANGES, type CellRange } from './cells.ts'
import {
  createFamily,
  type Family,
  histogramSamples,
  type Labels,
  type Sample,
  sampleOf,
} from './families.ts'
import { DURATION_BOUNDS, METHODS, METRICS, PROTOCOLS } from './table.ts'

/** Metrics with the labels of the worker that they are from; without labels for the sum. */
interface LabeledMetrics {
  readonly labels: Labels
  readonly metrics: SlotMetrics
}

/** Returns the families of the native engine, by worker or as sums. */
export function engineFamilies(
  { exited, slots }: ScoreboardMetrics,
  { byWorker }: { byWorker: boolean },
): Family[] {
  const sources: LabeledMetrics[] = byWorker
    ? [
        ...[...slots].map(([slot, metrics]) => ({ labels: { worker: slot }, metrics })),
        { labels: { worker: EXITED }, metrics: exited },
      ]
    : [{ labels: {}, metrics: addMetrics([exited, ...slots.values()]) }]
  return [requestDurations(sources), ...CELL_RANGES.map((range) => familyOfCells(range, sources))]
}

function requestDurations(sources: readonly LabeledMetrics[]): Family {
  const bounds = DURATION_BOUNDS.map((bound) => bound / MICROSECONDS)
  const samples = sources.flatMap(({ labels, metrics }) =>
    [...metrics.series].flatMap(([key, durations]) =>
      histogramSamples(
        { bounds, counts: durations, sum: (durations.at(-1) ?? 0) / MICROSECONDS },
        { ...labels, ...seriesLabels(key) },
      ),
    ),
  )
  return createFamily('requestDuration', samples)
}

/** Returns the labels of a series, from its number: see `SeriesKey` in Rust. */
function seriesLabels(key: number): Labels {
  const [method, status, protocol] = [(key >> 12) & 0xff, key & 0xfff, key >> 20]
  const [methodLabel, statusLabel, protocolLabel] = METRICS.requestDuration.labels
  if (status === OVERFLOW_STATUS) return { [methodLabel]: METHODS[0] }
  return {
    [methodLabel]: METHODS[method] ?? METHODS[0],
    // The client disconnected before the response began.
    ...(status === 0 ? {} : { [statusLabel]: status }),
    [protocolLabel]: PROTOCOLS[protocol] ?? '',
  }
}

function familyOfCells(range: CellRange, sources: readonly LabeledMetrics[]): Family {
  const isGauge = range.row.kind === 'gauge'
  const samples = sources
    .filter(({ labels }) => !(isGauge && labels.worker === EXITED))
    .flatMap(({ labels, metrics }) => samplesOfCells(range, metrics.cells, labels))
  return createFamily(range.key, samples)
}

function samplesOfCells(range: CellRange, cells: Float64Array, labels: Labels): Sample[] {
  const { key, start, count, values, bounds, unitsPerSecond = 1, row } = range
  const own = cells.subarray(start, start + count)
  if (bounds !== undefined) {
    const sum = (own[count - 1] ?? 0) / unitsPerSecond
    const shown = bounds.map((bound) => bound / unitsPerSecond)
    return histogramSamples({ bounds: shown, counts: own, sum }, labels)
  }
  const [label = ''] = row.labels ?? []
  return Array.from(own, (value, index) => {
    const named = values === undefined ? {} : { [label]: values[index] ?? '' }
    return sampleOf(key, value / unitsPerSecond, { ...labels, ...named })
  })
}

/** The label of the workers that have exited. */
const EXITED = 'exited'
const MICROSECONDS = 1_000_000
/** The status code in the key of the series for all that do not fit. */
const OVERFLOW_STATUS = 0xfff
