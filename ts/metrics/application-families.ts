/** Adds up the metrics of the application in all workers, by prom-client's rules of aggregation. */

import type { ApplicationMetric } from './application-report.ts'
import type { Family, Sample } from './families.ts'

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
      const before = this.#exited.get(metric.name)?.size ?? 0
      if (this.#keptSamples + metric.keys.length > MAX_KEPT_SAMPLES && before === 0) continue
      addTo(this.#exited, metric)
      this.#keptSamples += (this.#exited.get(metric.name)?.size ?? 0) - before
    }
  }

  /** Returns the families of the sums over the workers. */
  families(reports: Iterable<readonly ApplicationMetric[]>): Family[] {
    const sums = new Map<string, Aggregate>()
    for (const [name, aggregate] of this.#exited) sums.set(name, aggregate.copy())
    for (const report of reports) for (const metric of report) addTo(sums, metric)
    return [...sums.values()].map((aggregate) => aggregate.toFamily())
  }
}

function addTo(sums: Map<string, Aggregate>, metric: ApplicationMetric): void {
  const combine = COMBINE[metric.aggregator]
  // `omit`, or a function of the application, which only the worker has.
  if (combine === undefined) return
  const sum = sums.get(metric.name) ?? new Aggregate(metric)
  sums.set(metric.name, sum)
  sum.add(metric, combine)
}

/** The values of one metric, combined over several workers. */
class Aggregate {
  readonly #metric: ApplicationMetric
  /** What follows the name in each sample. */
  #keys: string[] = []
  #values: number[] = []
  /** Number of workers that each value is from. */
  #counts: number[] = []
  #positions = new Map<string, number>()

  constructor(metric: ApplicationMetric) {
    this.#metric = metric
  }

  get size(): number {
    return this.#keys.length
  }

  add({ keys, values }: ApplicationMetric, combine: Combine): void {
    for (const [index, key] of keys.entries()) {
      const value = Number(values[index])
      const known = this.#find(key, index)
      if (known === undefined) {
        this.#append(key, value)
      } else {
        this.#values[known] = combine(this.#values[known] ?? 0, value)
        this.#counts[known] = (this.#counts[known] ?? 0) + 1
      }
    }
  }

  copy(): Aggregate {
    const copy = new Aggregate(this.#metric)
    copy.#keys = [...this.#keys]
    copy.#values = [...this.#values]
    copy.#counts = [...this.#counts]
    copy.#positions = new Map(this.#positions)
    return copy
  }

  toFamily(): Family {
    const { type, help, aggregator, name: sampleName } = this.#metric
    const isTotal = type === 'counter' && sampleName.endsWith('_total')
    const name = isTotal ? sampleName.slice(0, -'_total'.length) : sampleName
    const isAverage = aggregator === 'average'
    const samples = this.#keys.map((key, index): Sample => {
      const value = this.#values[index] ?? 0
      return {
        suffix: isTotal ? `_total${key}` : key,
        labels: {},
        value: isAverage ? value / (this.#counts[index] ?? 1) : value,
      }
    })
    return { name, kind: KINDS[type] ?? 'unknown', help, samples }
  }

  // Most workers have the same samples in the same order, which needs no search.
  #find(key: string, index: number): number | undefined {
    return this.#keys[index] === key ? index : this.#positions.get(key)
  }

  #append(key: string, value: number): void {
    this.#positions.set(key, this.#keys.length)
    this.#keys.push(key)
    this.#values.push(value)
    this.#counts.push(1)
  }
}

const KINDS: Readonly<Partial<Record<string, Family['kind']>>> = {
  counter: 'counter',
  gauge: 'gauge',
  histogram: 'histogram',
  summary: 'summary',
}
