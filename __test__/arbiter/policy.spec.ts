// The delay before a worker that exited unexpectedly is replaced.

import test from 'ava'

import { RestartPolicy } from '../../ts/arbiter/policy.ts'

const CRASH = { slot: 1, isExternal: false, servedMs: 2_000 }
const KILLED = { slot: 1, isExternal: true, servedMs: 2_000 }

test('the delay after a crash is one second and doubles up to 30 s', (t) => {
  const policy = new RestartPolicy()
  const pauses = Array.from({ length: 7 }, () => policy.recordExit(CRASH, policy.retryAtMs()))
  t.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  t.false(policy.canSpawn(90_999))
  t.true(policy.canSpawn(91_000))
})

test('workers that crash together share one delay', (t) => {
  const policy = new RestartPolicy()
  const pauses = [0, 10, 20, 999].map((nowMs) => policy.recordExit(CRASH, nowMs))
  t.deepEqual(pauses, [1_000, 0, 0, 0])
  t.is(policy.retryAtMs(), 1_000)
  t.is(policy.recordExit(CRASH, 1_500), 2_000)
})

test('a worker that served ten seconds is replaced at once, and resets the delay', (t) => {
  const policy = new RestartPolicy()
  policy.recordExit(CRASH, 0)
  t.is(policy.recordExit({ ...CRASH, servedMs: 10_000 }, 5_000), 0)
  t.is(policy.recordExit(CRASH, 6_000), 1_000)
})

test('a failed boot causes the delay of a crash', (t) => {
  t.is(new RestartPolicy().recordExit({ ...CRASH, servedMs: undefined }, 0), 1_000)
})

test('external kills cause no delay, unless five come in five seconds in one slot', (t) => {
  const policy = new RestartPolicy()
  const times = [0, 1_000, 2_000, 3_000]
  t.deepEqual(
    times.map((nowMs) => policy.recordExit(KILLED, nowMs)),
    [0, 0, 0, 0],
  )
  t.is(policy.recordExit({ ...KILLED, slot: 2 }, 3_500), 0)
  t.is(policy.recordExit(KILLED, 4_900), 1_000)
})

test('five external kills in more than five seconds cause no delay', (t) => {
  const policy = new RestartPolicy()
  const times = [0, 1_300, 2_600, 3_900, 5_200, 6_500]
  t.deepEqual(
    times.map((nowMs) => policy.recordExit(KILLED, nowMs)),
    [0, 0, 0, 0, 0, 0],
  )
})

test('a stable worker resets the delay, and a reload ends it', (t) => {
  const policy = new RestartPolicy()
  policy.recordExit(CRASH, 0)
  policy.recordExit(CRASH, 1_000)
  policy.recordStable()
  t.is(policy.recordExit(CRASH, 20_000), 1_000)
  policy.reset()
  t.true(policy.canSpawn(20_000))
})
