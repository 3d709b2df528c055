// The computation of rates from two readings, and their text.

import test from 'ava'

import { compareLoads, formatTop } from '../../ts/cli/ctl/top.ts'
import type { LoadReport, StatusReport, WorkerLoad } from '../../ts/control/reports.ts'
import { latencyQuantile } from '../../ts/scoreboard/quantiles.ts'
import { escapeControls, formatBytes, formatDuration } from '../../ts/text/format.ts'

const BOUNDS = [0.001, 0.01, 0.1]

function reading(at: number, workers: readonly Partial<WorkerLoad>[]): LoadReport {
  const status = {
    pid: 1,
    app: 'app.js',
    name: null,
    phase: 'serving',
    uptime: 90_061,
    inFlight: 2,
  }
  return {
    at,
    status: status as StatusReport,
    queued: 3,
    workers: workers.map((worker) => ({
      ...{ pid: 2, slot: 1, age: 1, generation: 1, state: 'serving', uptime: 1, requests: 0 },
      leads: false,
      ...{ inFlight: 0, connections: 5, heartbeatAge: 0, memory: 1024 ** 2, utilization: 0.5 },
      latency: null,
      ...worker,
    })),
  }
}

const latency = (...counts: number[]) => ({ bounds: BOUNDS, counts, sum: 0 })

test('rates and quantiles are those of the time between the readings', (t) => {
  const report = compareLoads(
    reading(10, [{ requests: 100, latency: latency(100, 0, 0) }]),
    reading(12, [
      { requests: 140, latency: latency(100, 40, 0) },
      { pid: 3, requests: 20, latency: latency(0, 0, 20) },
    ]),
  )
  t.is(report.requestsPerSecond, 30)
  const [first, successor] = report.workers
  t.is(first?.requestsPerSecond, 20)
  t.true((first?.p50 ?? 0) > 0.001 && (first?.p50 ?? 1) <= 0.01)
  t.is(successor?.requestsPerSecond, 10)
  t.true((successor?.p50 ?? 0) > 0.01)
})

test('without requests, or without the addon, there are no quantiles', (t) => {
  const report = compareLoads(
    reading(1, [{ latency: latency(7, 0, 0) }]),
    reading(2, [{ latency: latency(7, 0, 0) }, { pid: 3 }]),
  )
  t.deepEqual(
    report.workers.map(({ p50, p99 }) => [p50, p99]),
    [
      [null, null],
      [null, null],
    ],
  )
  const text = formatTop(report, { columns: 80, hasColor: false })
  t.true(text.startsWith('app.js (1), serving, up 1d 1h, 0.0 requests/s, 2 in flight, 3 queued\n'))
  t.regex(text, /2 {2}serving +0\.0 +- +- +0 +5 +50% +1 MiB/)
})

test('a quantile is within its bucket', (t) => {
  t.is(latencyQuantile(latency(0, 0, 0), 0.5), undefined)
  t.is(latencyQuantile(latency(1, 0, 0), 1), 0.001)
  t.is(latencyQuantile(latency(98, 0, 2), 0.5)?.toFixed(5), '0.00051')
  t.is(latencyQuantile(latency(98, 0, 2), 0.99)?.toFixed(3), '0.055')
})

test('durations and sizes have a unit, and control characters are shown', (t) => {
  t.deepEqual([0.000_05, 0.0042, 1, 61, 7_300, 90_061].map(formatDuration), [
    '50 us',
    '4.2 ms',
    '1 s',
    '1m 1s',
    '2h 1m',
    '1d 1h',
  ])
  t.deepEqual([0, 1023, 1536, 3 * 1024 ** 3].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '3 GiB',
  ])
  t.is(escapeControls('a\u001b[2Jb\tc'), 'a\ufffd[2Jb\tc')
})
