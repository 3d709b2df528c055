import test from 'ava'

import { createOrphanReaper } from '../../ts/arbiter/orphans.ts'

function reaper(...looks: number[][]) {
  const reaped: number[] = []
  return {
    reaped,
    listZombies: () => looks.shift() ?? [],
    reapZombie: (pid: number) => reaped.push(pid) > 0,
  }
}

test('process 1 reaps who is a zombie at two looks: Node waits for its own children before', (t) => {
  const system = reaper([7, 8], [8, 9], [9])
  const look = createOrphanReaper(1, system)
  look()
  t.deepEqual(system.reaped, [])
  look()
  t.deepEqual(system.reaped, [8])
  look()
  t.deepEqual(system.reaped, [8, 9])
})

test('a number that comes back after it was reaped is given two looks again', (t) => {
  const system = reaper([7], [7], [7], [7])
  const look = createOrphanReaper(1, system)
  for (let looks = 0; looks < 4; looks++) look()
  t.deepEqual(system.reaped, [7, 7])
})

test('any other process leaves orphans to whose they are', (t) => {
  const system = reaper([7], [7])
  const look = createOrphanReaper(4711, system)
  look()
  look()
  t.deepEqual(system.reaped, [])
})
