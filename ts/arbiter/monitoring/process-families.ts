/** The families `process_*` and `nodejs_*`, under the names that prom-client gives them. */

import {
  createFamily,
  type Family,
  type Labels,
  type Sample,
  sampleOf,
} from '../../metrics/families.ts'
import type { MetricKey } from '../../metrics/table.ts'
import type { RuntimeReport } from '../../metrics/worker-report.ts'
import type { ProcessUsage } from '../../process/usage.ts'

/** A value of one worker. */
export interface OfWorker<Value> {
  readonly slot: number
  readonly value: Value
}

/** How the values of the workers become one. */
type Combine = (values: readonly number[]) => number

const sum: Combine = (values) => values.reduce((total, value) => total + value, 0)
const max: Combine = (values) => Math.max(...values)
const mean: Combine = (values) => sum(values) / values.length

/** Returns the families about the workers' processes. */
export function processFamilies(
  usages: readonly OfWorker<ProcessUsage>[],
  exited: { readonly user: number; readonly system: number },
  { byWorker }: { byWorker: boolean },
): Family[] {
  const gauge = (key: MetricKey, combine: Combine, pick: (usage: ProcessUsage) => number) =>
    createFamily(key, combined(key, pickEach(usages, pick), { combine, byWorker }))
  const times = (key: MetricKey, ofExited: number, pick: (usage: ProcessUsage) => number) => {
    const running = pickEach(usages, pick)
    const samples = byWorker
      ? [
          ...combined(key, running, { combine: sum, byWorker }),
          sampleOf(key, ofExited, { worker: 'exited' }),
        ]
      : [sampleOf(key, sum([...running.map(({ value }) => value), ofExited]))]
    // Outside Linux nothing is known.
    return createFamily(key, usages.length === 0 && ofExited === 0 ? [] : samples)
  }
  const { user, system } = exited
  return [
    times('cpuUser', user, ({ userSeconds }) => userSeconds),
    times('cpuSystem', system, ({ systemSeconds }) => systemSeconds),
    times('cpu', user + system, ({ userSeconds, systemSeconds }) => userSeconds + systemSeconds),
    gauge('residentMemory', sum, ({ residentBytes }) => residentBytes),
    gauge('virtualMemory', sum, ({ virtualBytes }) => virtualBytes),
    gauge('openDescriptors', sum, ({ openDescriptors = Number.NaN }) => openDescriptors),
    gauge('maxDescriptors', max, ({ maxDescriptors = Number.NaN }) => maxDescriptors),
  ]
}

/** A worker's report with the share of time in which its event loop was busy. */
export type MeasuredReport = RuntimeReport & { readonly utilization: number }

/** Returns the families about Node.js in the workers. */
export function runtimeFamilies(
  reports: readonly OfWorker<MeasuredReport>[],
  { byWorker }: { byWorker: boolean },
): Family[] {
  const gauge = (key: MetricKey, combine: Combine, pick: (report: MeasuredReport) => number) =>
    createFamily(key, combined(key, pickEach(reports, pick), { combine, byWorker }))
  const [major = '', minor = '', patch = ''] = process.versions.node.split('.')
  const version: Labels = {
    version: process.version,
    major,
    minor,
    patch: Number.parseInt(patch, 10),
  }
  return [
    gauge('heapTotal', sum, ({ heapTotal }) => heapTotal),
    gauge('heapUsed', sum, ({ heapUsed }) => heapUsed),
    gauge('externalMemory', sum, ({ external }) => external),
    gauge('activeResources', sum, ({ activeResources }) => activeResources),
    gauge('eventLoopLag', max, ({ lagSeconds }) => lagSeconds),
    gauge('eventLoopUtilization', mean, ({ utilization }) => utilization),
    createFamily('nodeVersion', [sampleOf('nodeVersion', 1, version)]),
  ]
}

function pickEach<Value>(
  values: readonly OfWorker<Value>[],
  pick: (value: Value) => number,
): OfWorker<number>[] {
  return values
    .map(({ slot, value }) => ({ slot, value: pick(value) }))
    .filter(({ value }) => !Number.isNaN(value))
}

function combined(
  key: MetricKey,
  values: readonly OfWorker<number>[],
  { combine, byWorker }: { combine: Combine; byWorker: boolean },
): Sample[] {
  if (byWorker) return values.map(({ slot, value }) => sampleOf(key, value, { worker: slot }))
  return values.length === 0 ? [] : [sampleOf(key, combine(values.map(({ value }) => value)))]
}
