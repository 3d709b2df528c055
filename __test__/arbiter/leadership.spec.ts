// Which worker does the work of one worker: one at any time, and the next one when the former one
// has confirmed or is dead, also between the two arbiters of an upgrade.

import test from 'ava'
import { usesLog } from '../uses.ts'
import { FakeParent } from './fake-processes.ts'
import { makeAllReady, runQueued, type Stage, startArbiter } from './fake-system.ts'

test('of several workers with such work, one leads', async (t) => {
  const stage = await leading({ workers: 3 })
  usesLog(t, () => stage.log.join('\n'))
  t.deepEqual(leaders(stage), [1001])
  await runQueued()
  t.deepEqual(leaders(stage), [1001])
  t.true(stage.log.includes('info Worker (pid:1001) does the work of one worker'))
})

test('a worker without such work does not lead', async (t) => {
  const stage = await startArbiter({ workers: 2 })
  await makeAllReady(stage)
  t.deepEqual(leaders(stage), [])
})

test('a worker that is not ready does not lead', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  stage.system.children[0]?.sendMessage({ type: 'canLead' })
  await runQueued()
  t.deepEqual(leaders(stage), [])
  await makeAllReady(stage)
  t.deepEqual(leaders(stage), [1001])
})

test('the next worker leads once the former one has confirmed, during its drain', async (t) => {
  const stage = await leading({ workers: 3 })
  await stage.system.deliverSignal('TTOU')
  t.deepEqual(stage.system.children[0]?.signals, ['TERM'])
  t.deepEqual(leaders(stage), [1001])
  stage.system.children[0]?.sendMessage({ type: 'stoppedLeading' })
  await runQueued()
  // The newest worker: TTOU stops the oldest first.
  t.deepEqual(leaders(stage), [1001, 1003])
})

test('the next worker leads once the former one is dead', async (t) => {
  const stage = await leading({ workers: 2 })
  stage.system.children[0]?.exit({ signal: 'KILL' })
  await runQueued()
  t.deepEqual(leaders(stage), [1001, 1002])
})

test('a reload moves the work to a worker of the new generation', async (t) => {
  const stage = await leading({ workers: 2 })
  await stage.system.deliverSignal('HUP')
  offer(stage)
  await makeAllReady(stage)
  t.deepEqual(stage.system.children[0]?.signals, ['TERM'])
  stage.system.children[0]?.sendMessage({ type: 'stoppedLeading' })
  await runQueued()
  t.deepEqual(leaders(stage), [1001, 1003])
})

test('a worker that an upgrade pauses passes the work to the new arbiter', async (t) => {
  const stage = await leading({ workers: 1 })
  await stage.system.deliverSignal('USR2')
  const [successor] = stage.system.successors
  t.deepEqual(successor?.received, [{ type: 'leader', pid: 1001 }])
  await stage.system.deliverSignal('WINCH')
  t.is(successor?.received.length, 1)
  stage.system.children[0]?.sendMessage({ type: 'stoppedLeading' })
  await runQueued()
  t.deepEqual(successor?.received.slice(1), [{ type: 'passLead' }])
  // The workers start again, and the new arbiter keeps the work.
  stage.system.children[0]?.exit({ code: 0 })
  await stage.system.deliverSignal('HUP')
  offer(stage)
  await makeAllReady(stage)
  t.deepEqual(leaders(stage), [1001])
  successor?.exit({ code: 0, signal: null })
  await runQueued()
  t.deepEqual(leaders(stage), [1001, 1002])
})

test('the new arbiter waits for the old one, and for the leader of a killed one', async (t) => {
  const channel = new FakeParent()
  const stage = await startArbiter(
    { workers: 1 },
    { parent: { kind: 'upgrade', pid: 900, channel } },
  )
  let isAlive = true
  stage.system.isAlive = (pid) => pid === 901 && isAlive
  channel.sendMessage({ type: 'leader', pid: 901 })
  offer(stage)
  await makeAllReady(stage)
  t.deepEqual(leaders(stage), [])
  channel.emitGone()
  await runQueued()
  t.deepEqual(leaders(stage), [])
  isAlive = false
  await stage.system.advance(1_000)
  t.deepEqual(leaders(stage), [1001])
})

test('an arbiter that has passed the work does not get it back and forth', async (t) => {
  const channel = new FakeParent()
  const stage = await startArbiter(
    { workers: 1 },
    { parent: { kind: 'upgrade', pid: 900, channel } },
  )
  channel.sendMessage({ type: 'passLead' })
  offer(stage)
  await makeAllReady(stage)
  t.deepEqual(leaders(stage), [1001])
  await stage.system.deliverSignal('TERM')
  stage.system.children[0]?.sendMessage({ type: 'stoppedLeading' })
  await runQueued()
  t.false(channel.received.some(({ type }) => type === 'passLead'))
})

/** Starts workers that are ready and have work of one worker. */
async function leading(settings: { workers: number }): Promise<Stage> {
  const stage = await startArbiter(settings)
  offer(stage)
  await makeAllReady(stage)
  return stage
}

function offer({ system }: Stage): void {
  for (const child of system.running) child.sendMessage({ type: 'canLead' })
}

/** The workers that have received `lead`, the oldest first. */
function leaders({ system }: Stage): number[] {
  return system.children
    .filter(({ received }) => received.some(({ type }) => type === 'lead'))
    .map(({ pid }) => pid)
}
