// Reaping of orphaned processes by an arbiter that is process 1 of a container.

import test from 'ava'

import { createOrphanReaper } from '../../ts/arbiter/orphans.ts'

function reaper(...checks: number[][]) {
  const reaped: number[] = []
  return {
    reaped,
    listZombies: () => checks.shift() ?? [],
    reapZombie: (pid: number) => reaped.push(pid) > 0,
  }
}

test('an arbiter with process id 1 reaps zombies that exist in two consecutive checks', (t) => {
  const system = reaper([7, 8], [8, 9], [9])
  const check = createOrphanReaper(1, system)
  check()
  t.deepEqual(system.reaped, [])
  check()
  t.deepEqual(system.reaped, [8])
  check()
  t.deepEqual(system.reaped, [8, 9])
})

test('a process id that is reused after reaping needs two checks again', (t) => {
  const system = reaper([7], [7], [7], [7])
  const check = createOrphanReaper(1, system)
  for (let checks = 0; checks < 4; checks++) check()
  t.deepEqual(system.reaped, [7, 7])
})

test('an arbiter with another process id reaps no orphans', (t) => {
  const system = reaper([7], [7])
  const check = createOrphanReaper(4711, system)
  check()
  check()
  t.deepEqual(system.reaped, [])
})
