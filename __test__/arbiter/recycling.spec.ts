// When a worker is replaced though nothing is wrong with it: successor first, one at a time.

import test from 'ava'

import { allReady, type FakeChild, settle, startArbiter } from './fake-system.ts'

test('a worker that has too much memory, or has served long enough, gets a successor first', async (t) => {
  const stage = await startArbiter({
    workers: 1,
    max_worker_memory: 1_000_000,
    max_worker_lifetime: 60,
  })
  const { system } = stage
  const [first] = system.children
  await allReady(stage)
  system.resident = 999_999
  await system.pass(2_000)
  t.is(system.children.length, 1)
  system.resident = 3_000_000
  await system.pass(1_100)
  t.is(system.children.length, 2)
  t.deepEqual(first?.signals, [], 'it serves until its successor is ready')
  system.resident = 1
  await allReady(stage)
  t.deepEqual(first?.signals, ['TERM'])
  t.regex(
    stage.log.join('\n'),
    /Autorestarting worker .*: resident memory 3 MiB > max_worker_memory 1 MiB/,
  )
  await end(first, {})
  await system.pass(62_000)
  t.is(system.children.length, 3)
  t.regex(
    stage.log.join('\n'),
    /Autorestarting worker .*: served 6[\d.]+s >= max_worker_lifetime 60s/,
  )
})

test('workers with uncaught errors are replaced one by one, at most one each 5 seconds', async (t) => {
  const stage = await startArbiter({ workers: 2, on_uncaught: 'recycle' })
  const { system } = stage
  await allReady(stage)
  const [first, second] = system.children
  first?.says({ type: 'uncaughtError' })
  second?.says({ type: 'uncaughtError' })
  await settle()
  await system.pass(1_100)
  t.is(system.children.length, 3)
  await allReady(stage)
  t.is([first, second].filter((child) => child?.signals.includes('TERM')).length, 1)
  const [leaving] = [first, second].filter((child) => child?.signals.includes('TERM'))
  await end(leaving, {})
  await system.pass(2_000)
  t.is(system.children.length, 3)
  await system.pass(4_000)
  t.is(system.children.length, 4)
  await allReady(stage)
  t.is([first, second].filter((child) => child?.signals.includes('TERM')).length, 2)
})

async function end(child: FakeChild | undefined, exit: object = { code: 0 }): Promise<void> {
  child?.ends(exit)
  await settle()
}
