/** Adds up the metrics of the application in all workers, by prom-client's rules of aggregation. */

import type { ApplicationMetric } from './application-report.ts'
import type { Family, Sample } from './families.ts'

/** The values of one metric, by what follows its name in a sample. */
interface Aggregate {
  readonly metric: ApplicationMetric
  readonly values: Map<string, { value: number; count: number }>
}

/** Combines a value with those of other workers. */
type Combine = (before: number, value: number) => number

const COMBINE: Readonly<Partial<Record<string, Combine>>> = {
  sum: (before, value) => before + value,
  // Divided by the number of workers at the end.
  average: (before, value) => before + value,
  min: Math.min,
  max: Math.max,
  first: (before) => before,
}

/** Maximum number of samples that are kept of workers that have exited. */
const MAX_KEPT_SAMPLES = 50_000

/** The metrics of the application in all workers. */
export class ApplicationTotals {
  /** The counters of workers that have exited. */
  readonly #exited = new Map<string, Aggregate>()
  #keptSamples = 0

  /** Keeps the counters of a worker that has exited, so that the sums do not decrease. */
  keep(metrics: readonly ApplicationMetric[]): void {
    for (const metric of metrics) {
      if (metric.type === 'gauge' || metric.aggregator !== 'sum') continue
      const before = this.#exited.get(metric.name)?.values.size ?? 0
      if (this.#keptSamples + metric.keys.length > MAX_KEPT_SAMPLES && before === 0) continue
      addTo(this.#exited, metric)
      this.#keptSamples += (this.#exited.get(metric.name)?.values.size ?? 0) - before
    }
  }

  /** Returns the families of the sums over the workers. */
  families(reports: Iterable<readonly ApplicationMetric[]>): Family[] {
    const sums = new Map<string, Aggregate>()
    for (const [name, { metric, values }] of this.#exited) {
      const copied = [...values].map(([key, entry]) => [key, { ...entry }] as const)
      sums.set(name, { metric, values: new Map(copied) })
    }
    for (const report of reports) for (const metric of report) addTo(sums, metric)
    return [...sums.values()].map(toFamily)
  }
}

function addTo(sums: Map<string, Aggregate>, metric: ApplicationMetric): void {
  const combine = COMBINE[metric.aggregator]
  // `omit`, or a function of the application, which only the worker has.
  if (combine === undefined) return
  const known = sums.get(metric.name)
  const sum = known ?? { metric, values: new Map() }
  if (known === undefined) sums.set(metric.name, sum)
  for (const [index, key] of metric.keys.entries()) {
    const value = Number(metric.values[index])
    const entry = sum.values.get(key)
    if (entry === undefined) {
      sum.values.set(key, { value, count: 1 })
    } else {
      entry.value = combine(entry.value, value)
      entry.count += 1
    }
  }
}

function toFamily({ metric, values }: Aggregate): Family {
  const isCounter = metric.type === 'counter'
  const isTotal = isCounter && metric.name.endsWith('_total')
  const name = isTotal ? metric.name.slice(0, -'_total'.length) : metric.name
  const isAverage = metric.aggregator === 'average'
  const samples = [...values].map(
    ([key, { value, count }]): Sample => ({
      suffix: isTotal ? `_total${key}` : key,
      labels: {},
      value: isAverage ? value / count : value,
    }),
  )
  return { name, kind: KINDS[metric.type] ?? 'unknown', help: metric.help, samples }
}

const KINDS: Readonly<Partial<Record<string, Family['kind']>>> = {
  counter: 'counter',
  gauge: 'gauge',
  histogram: 'histogram',
  summary: 'summary',
}
