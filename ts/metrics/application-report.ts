/** Collects the metrics of the application in a worker: those of its registries of prom-client. */

import Module from 'node:module'

import { formatBound, formatLabels } from './page.ts'
import {
  listRegistries,
  type MetricsRegistry,
  type RegistryMetric,
  type RegistryValue,
} from './registries.ts'

/** A metric of the application. Labels are rendered once, in the worker. */
export interface ApplicationMetric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator: string
  /** What follows the name in each sample: a suffix and the labels. */
  readonly keys: readonly string[]
  /** The values; text for those that JSON does not have: `NaN`, `Infinity`. */
  readonly values: readonly (number | string)[]
}

/** A metric as it is sent: without its keys, if they are those of the previous report. */
export interface SentMetric extends Omit<ApplicationMetric, 'keys'> {
  readonly keys?: readonly string[]
}

/** A report of the application's metrics. */
export interface ApplicationReport {
  /** Number of the report among those of its worker. The first is 1. */
  readonly number: number
  readonly metrics: readonly SentMetric[]
}

/** Maximum number of samples that one worker reports. */
export const MAX_SAMPLES = 20_000

/** Path of prom-client's main module in the application's module tree. */
const PROM_CLIENT = /[\\/]prom-client[\\/]index\.js$/

/**
 * Reports the metrics of this process's registries. Keys are most of a report and seldom change, so
 * they are left out if the arbiter has them.
 */
export class ApplicationReporter {
  #number = 0
  #latest: readonly ApplicationMetric[] = []

  /** Makes the next report. `known` is the number of the latest report that the arbiter has. */
  async report(known: number): Promise<ApplicationReport | undefined> {
    const metrics = await collectApplicationMetrics()
    if (metrics === undefined) return undefined
    const before = known === this.#number ? this.#latest : []
    this.#latest = metrics
    this.#number += 1
    return { number: this.#number, metrics: metrics.map((one, at) => omitKeys(one, before[at])) }
  }
}

function omitKeys(metric: ApplicationMetric, before: ApplicationMetric | undefined): SentMetric {
  const { keys, ...rest } = metric
  const isKnown =
    before?.name === metric.name &&
    before.keys.length === keys.length &&
    keys.every((key, index) => key === before.keys[index])
  return isKnown ? rest : metric
}

/** Completes a report with the keys of the previous one. */
export function restoreKeys(
  metrics: readonly SentMetric[],
  previous: readonly ApplicationMetric[],
): ApplicationMetric[] {
  return metrics.map((metric, at) => ({ ...metric, keys: metric.keys ?? previous[at]?.keys ?? [] }))
}

/** Collects all metrics of this process's registries, up to the maximum number of samples. */
export async function collectApplicationMetrics(): Promise<
  readonly ApplicationMetric[] | undefined
> {
  const registries = new Set([...findGlobalRegistries(), ...listRegistries()])
  if (registries.size === 0) return undefined
  const metrics: ApplicationMetric[] = []
  let room = MAX_SAMPLES
  for (const registry of registries) {
    for (const metric of toMetrics(await registry.getMetricsAsJSON())) {
      room -= metric.values.length
      if (room < 0) return metrics
      metrics.push(toApplicationMetric(metric))
    }
  }
  return metrics
}

/** Returns the global registry of each copy of prom-client that the application has loaded. */
function findGlobalRegistries(): MetricsRegistry[] {
  const cache: unknown = Reflect.get(Module, '_cache')
  if (typeof cache !== 'object' || cache === null) return []
  return Object.keys(cache).flatMap((path) => {
    if (!PROM_CLIENT.test(path)) return []
    const loaded: unknown = Reflect.get(cache, path)
    const exported = property(loaded, 'exports')
    const registry = property(exported, 'register')
    return isRegistry(registry) ? [registry] : []
  })
}

function isRegistry(value: unknown): value is MetricsRegistry {
  return typeof property(value, 'getMetricsAsJSON') === 'function'
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

// The registry is the application's: what has another shape is skipped.
function toMetrics(json: unknown): RegistryMetric[] {
  if (!Array.isArray(json)) return []
  return json.filter((metric): metric is RegistryMetric => {
    const [name, values] = [property(metric, 'name'), property(metric, 'values')]
    return typeof name === 'string' && METRIC_NAME.test(name) && Array.isArray(values)
  })
}

function toApplicationMetric(metric: RegistryMetric): ApplicationMetric {
  const { name, help, type, aggregator, values } = metric
  return {
    name,
    help: String(help),
    type: String(type),
    aggregator: typeof aggregator === 'string' ? aggregator : 'sum',
    keys: values.map((value) => keyOf(name, value)),
    values: values.map(({ value }) => (Number.isFinite(value) ? value : String(value))),
  }
}

function keyOf(name: string, { metricName = name, labels }: RegistryValue): string {
  const suffix = metricName.startsWith(name) ? metricName.slice(name.length) : ''
  return suffix + formatLabels(Object.entries(labels).map(toLabel))
}

/** OpenMetrics wants bounds and quantiles as floating-point numbers. */
function toLabel([name, value = '']: [string, string | number | undefined]): [string, string] {
  const isNumber = typeof value === 'number' && (name === 'le' || name === 'quantile')
  return [name, isNumber ? formatBound(value) : String(value)]
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
