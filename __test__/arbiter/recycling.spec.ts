// Replacement of workers that reach a limit: the successor first, one at a time.

import test from 'ava'
import { uses } from '../uses.ts'
import type { FakeChild } from './fake-processes.ts'
import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

test('a worker above max_worker_memory or max_worker_lifetime is replaced', async (t) => {
  const stage = await startArbiter(
    uses(t, {
      workers: 1,
      max_worker_memory: 1_000_000,
      max_worker_lifetime: 60,
    }),
  )
  const { system } = stage
  const [first] = system.children
  await makeAllReady(stage)
  system.residentSize = 999_999
  await system.advance(2_000)
  t.is(system.children.length, 1)
  system.residentSize = 3_000_000
  await system.advance(1_100)
  t.is(system.children.length, 2)
  t.deepEqual(first?.signals, [], 'the worker serves until its successor is ready')
  system.residentSize = 1
  await makeAllReady(stage)
  t.deepEqual(first?.signals, ['TERM'])
  t.regex(
    stage.log.join('\n'),
    /Autorestarting worker .*: resident memory 3 MiB > max_worker_memory 1 MiB/,
  )
  await end(first, {})
  await system.advance(62_000)
  t.is(system.children.length, 3)
  t.regex(
    stage.log.join('\n'),
    /Autorestarting worker .*: served 6[\d.]+s >= max_worker_lifetime 60s/,
  )
})

test('max_worker_lifetime_jitter adds a random time to max_worker_lifetime', async (t) => {
  const stage = await startArbiter(
    uses(t, {
      workers: 1,
      max_worker_lifetime: 60,
      max_worker_lifetime_jitter: 40,
    }),
  )
  const { system } = stage
  await makeAllReady(stage)
  // The fake system draws half of the jitter.
  await system.advance(79_000)
  t.is(system.children.length, 1)
  await system.advance(2_000)
  t.is(system.children.length, 2)
  t.regex(stage.log.join('\n'), /served 8[\d.]+s >= max_worker_lifetime/)
})

test('workers with uncaught errors are replaced at most every 5 seconds', async (t) => {
  const stage = await startArbiter({ workers: 2, on_uncaught: 'recycle' })
  const { system } = stage
  await makeAllReady(stage)
  const [first, second] = system.children
  first?.sendMessage({ type: 'uncaughtError' })
  second?.sendMessage({ type: 'uncaughtError' })
  await runQueued()
  await system.advance(1_100)
  t.is(system.children.length, 3)
  await makeAllReady(stage)
  t.is([first, second].filter((child) => child?.signals.includes('TERM')).length, 1)
  const [stopping] = [first, second].filter((child) => child?.signals.includes('TERM'))
  await end(stopping, {})
  await system.advance(2_000)
  t.is(system.children.length, 3)
  await system.advance(4_000)
  t.is(system.children.length, 4)
  await makeAllReady(stage)
  t.is([first, second].filter((child) => child?.signals.includes('TERM')).length, 2)
})

test('max_requests replaces one worker at a time, its successor first', async (t) => {
  const stage = await startArbiter(uses(t, { max_requests: 10, max_requests_jitter: 4 }))
  const { system } = stage
  await makeAllReady(stage)
  const counters = { connections: 0, inFlight: 0, requests: 11 }
  for (const child of system.children) child.sendMessage({ type: 'heartbeat', counters })
  await system.advance(1_000)
  t.is(system.children.length, 2)
  for (const child of system.children) {
    child.sendMessage({ type: 'heartbeat', counters: { ...counters, requests: 12 } })
  }
  await system.advance(1_000)
  t.is(system.children.length, 3)
  t.deepEqual(
    system.children.map(({ signals }) => signals),
    [[], [], []],
  )
  await makeAllReady(stage)
  t.deepEqual(
    system.children.map(({ signals }) => signals),
    [['TERM'], [], []],
  )
})

async function end(child: FakeChild | undefined, exit: object = { code: 0 }): Promise<void> {
  child?.exit(exit)
  await runQueued()
}
