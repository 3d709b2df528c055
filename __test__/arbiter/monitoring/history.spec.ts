// The history of the status page, with times that the test chooses.

import test from 'ava'

import {
  HISTORY_CAPACITY,
  HISTORY_COLUMNS,
  History,
  type HistorySample,
} from '../../../ts/arbiter/monitoring/history.ts'

function sample(value: number): HistorySample {
  return Object.fromEntries(HISTORY_COLUMNS.map((name) => [name, value])) as HistorySample
}

/** A history with one sample a second. */
function historyOf(count: number): History {
  const history = new History()
  for (let second = 0; second < count; second += 1) history.add(second * 1_000, sample(second))
  return history
}

test('the history has the latest 15 minutes, however long the server runs', (t) => {
  const { start, end, columns } = historyOf(5_000).report(Number.NaN)
  t.deepEqual([start, end], [5_000 - HISTORY_CAPACITY, 5_000])
  for (const name of HISTORY_COLUMNS) {
    t.is(columns[name].length, HISTORY_CAPACITY)
    t.deepEqual([columns[name][0], columns[name].at(-1)], [start, end - 1])
  }
})

test('a report has only the samples that the reader lacks', (t) => {
  const history = historyOf(1_000)
  t.deepEqual(history.report(998).columns.p99, [998, 999])
  t.deepEqual(history.report(1_000).columns.p99, [])
  // Numbers that are too old, of another arbiter, or none.
  for (const from of [50, 1_001, -1, 998.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.is(history.report(from).start, 100, String(from))
  }
})

test('seconds without a sample are gaps, and a long gap empties the history', (t) => {
  const history = historyOf(3)
  history.add(5_010, sample(5))
  t.deepEqual(history.report(1).columns.requests, [1, 2, Number.NaN, Number.NaN, 5])
  history.add(1e12, sample(6))
  const { end, columns } = history.report(Number.NaN)
  t.is(end, 1e9 + 1)
  t.deepEqual(
    columns.requests.filter((value) => !Number.isNaN(value)),
    [6],
  )
})
