/**
 * `monoceros/metrics`: names registries of the application whose metrics the page of `metrics_bind`
 * has. The global registry of prom-client needs no call.
 */

/** A metric as prom-client's `getMetricsAsJSON` returns it. */
export interface RegistryMetric {
  readonly name: string
  readonly help: string
  /** `counter`, `gauge`, `histogram` or `summary`. */
  readonly type: unknown
  /** How the values of several workers become one: `sum`, `first`, `min` and others. */
  readonly aggregator?: unknown
  readonly values: readonly RegistryValue[]
}

/** A value of such a metric. */
export interface RegistryValue {
  readonly value: number
  readonly labels: Readonly<Partial<Record<string, string | number>>>
  /** Name of the sample, if it is not that of the metric. */
  readonly metricName?: string
}

/** The part of prom-client's `Registry` that is used. */
export interface MetricsRegistry {
  getMetricsAsJSON(): unknown
}

/** Adds a registry to the metrics of this worker. A registry that was added before is kept once. */
export function collectRegistry(registry: MetricsRegistry): void {
  listRegistries().add(registry)
}

/**
 * Returns the registries of this process. The application may have another copy of the package than
 * the worker, so the set is under a symbol that all copies share.
 */
export function listRegistries(): Set<MetricsRegistry> {
  const known: unknown = Reflect.get(globalThis, REGISTRIES)
  if (known instanceof Set) return known
  const registries = new Set<MetricsRegistry>()
  Object.defineProperty(globalThis, REGISTRIES, { value: registries })
  return registries
}

const REGISTRIES = Symbol.for('monoceros.metricsRegistries')
