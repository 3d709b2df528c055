/** Metric families: a metric with its samples, as the page shows it. */

import { formatBound } from './page.ts'
import { METRICS, type MetricKey, type MetricRow } from './table.ts'

/** The labels of a sample, in the order of the page. */
export type Labels = Readonly<Record<string, string | number>>

/** One line of the page. */
export interface Sample {
  /**
   * What follows the name of the family, such as `_bucket`. The labels of an application's sample
   * are part of it.
   */
  readonly suffix: string
  readonly labels: Labels
  readonly value: number
}

/** A metric with its samples. */
export interface Family {
  /** Name without `_total`. */
  readonly name: string
  readonly kind: MetricRow['kind'] | 'summary' | 'unknown'
  readonly unit?: MetricRow['unit']
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Creates the family of a metric of the table. */
export function createFamily(key: MetricKey, samples: readonly Sample[]): Family {
  const { name, kind, help, unit }: MetricRow = METRICS[key]
  return { name, kind, help, samples, ...(unit === undefined ? {} : { unit }) }
}

/** Creates the sample of a counter or a gauge of the table. */
export function sampleOf(key: MetricKey, value: number, labels: Labels = {}): Sample {
  return { suffix: METRICS[key].kind === 'counter' ? '_total' : '', labels, value }
}

/** The values of a histogram: a bucket for each bound, one for larger values, and the sum. */
export interface HistogramValues {
  readonly bounds: readonly number[]
  /** How often a value was in each bucket, not cumulative. */
  readonly counts: ArrayLike<number>
  readonly sum: number
}

/** Creates the samples of a histogram. */
export function histogramSamples(
  { bounds, counts, sum }: HistogramValues,
  labels: Labels = {},
): Sample[] {
  let count = 0
  const buckets = [...bounds.map(formatBound), '+Inf'].map((le, index): Sample => {
    count += counts[index] ?? 0
    return { suffix: '_bucket', labels: { ...labels, le }, value: count }
  })
  return [
    ...buckets,
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: count },
  ]
}
