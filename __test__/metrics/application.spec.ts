// Reports of the application's metrics without the keys that the arbiter has, and their sums.

import test from 'ava'

import { ApplicationTotals } from '../../ts/metrics/application-families.ts'
import {
  type ApplicationMetric,
  ApplicationReporter,
  restoreKeys,
} from '../../ts/metrics/application-report.ts'
import { collectRegistry } from '../../ts/metrics/registries.ts'

function metric(keys: readonly string[], values: readonly number[]): ApplicationMetric {
  return { name: 'jobs', help: 'Jobs', type: 'counter', aggregator: 'sum', keys, values }
}

test('keys are sent again only when they change, or when a report was lost', async (t) => {
  let kinds = ['a', 'b']
  collectRegistry({
    getMetricsAsJSON: () => [
      { ...metric([], []), values: kinds.map((kind) => ({ value: 2, labels: { kind } })) },
    ],
  })
  const reporter = new ApplicationReporter()
  const keys = ['{kind="a"}', '{kind="b"}']
  const first = await reporter.report(0)
  t.like(first, { number: 1, metrics: [{ keys, values: [2, 2] }] })
  const known = restoreKeys(first?.metrics ?? [], [])
  const second = await reporter.report(1)
  t.is(second?.metrics[0]?.keys, undefined)
  t.deepEqual(restoreKeys(second?.metrics ?? [], known), known)
  // The arbiter has not received the second report.
  t.deepEqual((await reporter.report(1))?.metrics[0]?.keys, keys)
  kinds = ['b', 'a']
  t.deepEqual((await reporter.report(3))?.metrics[0]?.keys, ['{kind="b"}', '{kind="a"}'])
})

test('samples are added up by their keys, whatever their order', (t) => {
  const totals = new ApplicationTotals()
  totals.keep([metric(['c', 'a'], [100, 200])])
  const reports = [
    [metric(['a', 'b'], [1, 2])],
    [metric(['a', 'b'], [10, 20])],
    [metric(['b', 'd', 'a'], [3, 4, 5])],
  ]
  const sums = () => totals.families(reports)[0]?.samples.map((one) => [one.suffix, one.value])
  const expected = [
    ['c', 100],
    ['a', 216],
    ['b', 25],
    ['d', 4],
  ]
  t.deepEqual(sums(), expected)
  // The kept values are not those that a page adds to.
  t.deepEqual(sums(), expected)
})
