// What the bench makes of what it saw.

import test from 'ava'
import { baselineOf, CASES, chooseSubjects, type Subject, subjectKey } from '../../bench/cases.ts'
import { type Sample, spread, summarize } from '../../bench/figures.ts'
import { readH2load, readWrk } from '../../bench/load.ts'
import { parseOptions } from '../../bench/options.ts'

const PLAIN: Subject = { name: 'req-res', engine: 'plain' }
const NATIVE: Subject = { name: 'req-res', engine: 'native' }

function sample(subject: Subject, round: number, us: number, p50us = 100): Sample {
  const seen = { requests: 1000, errors: 0, perSecond: 1000, p50us, p99us: p50us }
  return { subject, connections: 64, round, us, seen }
}

test('a ratio is between two figures of the same round, whatever the rounds were like', (t) => {
  const samples = [
    sample(PLAIN, 0, 10),
    sample(NATIVE, 0, 5),
    // Another process used the machine.
    sample(PLAIN, 1, 30),
    sample(NATIVE, 1, 15),
    sample(PLAIN, 2, 10),
    sample(NATIVE, 2, 6),
  ]
  const [plain, native] = summarize(samples, baselineOf)
  t.deepEqual(plain?.ratio, { median: 1, least: 1, most: 1 })
  t.deepEqual(native?.ratio, { median: 0.5, least: 0.5, most: 0.6 })
  t.is(native?.us.median, 6)
})

test('the median of an even number is between the middle two', (t) => {
  t.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, least: 1, most: 4 })
})

test('every case brings the server that it is measured against', (t) => {
  const keys = chooseSubjects(['exchange', 'koa'], ['native']).map(subjectKey)
  t.deepEqual(keys, ['req-res/plain', 'exchange/native', 'koa/plain', 'koa/native'])
  t.deepEqual(chooseSubjects(['access-log'], ['native']).map(subjectKey), [
    'req-res/native',
    'access-log/native',
  ])
  for (const name of Object.keys(CASES) as Array<keyof typeof CASES>) {
    const measure = baselineOf(name)
    t.true(CASES[measure.name].engines.includes(measure.engine))
  }
})

test('the figures in what wrk prints', (t) => {
  const output = `  Latency Distribution
     50%  803.00us
     75%    1.02ms
     90%    1.30ms
     99%    2.50ms
  61234 requests in 1.10s, 9.00MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 2
Requests/sec:  55667.27
`
  const wanted = { requests: 61_234, errors: 6, perSecond: 55_667.27, p50us: 803, p99us: 2500 }
  t.deepEqual(readWrk(output), wanted)
  t.is(readWrk('unable to connect'), undefined)
})

test('an unknown case or engine is refused by its name', (t) => {
  t.regex(String(parseOptions(['--only', 'koala'])), /got "koala"/)
  t.regex(String(parseOptions(['--engine', 'nodes'])), /got "nodes"/)
  t.regex(String(parseOptions(['--rounds', 'many'])), /numbers above 0/)
})

test('only a run of everything writes a page by itself', (t) => {
  t.like(parseOptions([]), { isWhole: true })
  t.like(parseOptions(['--only', 'koa']), { isWhole: false })
  t.like(parseOptions(['--engine', 'native']), { isWhole: false })
})

test('the figures of h2load are read, the median from its lines', (t) => {
  const output = `
finished in 3.00s, 51234.33 req/s, 4.16MB/s
requests: 153703 total, 153803 started, 153703 done, 153700 succeeded, 3 failed, 0 errored
status codes: 153700 2xx, 0 3xx, 0 4xx, 3 5xx
`
  const times =
    '1700000000000000\t200\t900\n1700000000000001\t200\t1100\n1700000000000002\t503\t5000\n'
  t.deepEqual(readH2load(output, times), {
    ...{ requests: 153_703, errors: 6, perSecond: 51_234.33 },
    ...{ p50us: 1_100, p99us: 5_000 },
  })
  t.is(readH2load('nothing', ''), undefined)
})
