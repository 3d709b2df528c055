// Upgrades by USR2: what the old arbiter passes on and refuses, what the new one takes over, and
// which of them removes files.

import test from 'ava'

import { createUpgradeEnvironment, takeUpgradeState } from '../../ts/arbiter/upgrade-state.ts'
import { FakeParent, type FakeSuccessor } from './fake-processes.ts'
import { makeAllReady, runQueued, type Stage, startArbiter } from './fake-system.ts'

test('USR2 starts the same command line again and passes on the sockets', async (t) => {
  const { successor } = await upgrading()
  t.like(successor.options, {
    program: { entry: '/app/monoceros', args: ['./app.js'], cwd: '/' },
    extraFds: [50],
  })
  const handover = takeUpgradeState({ ...successor.options.env })
  t.like(handover, { kind: 'upgrade', pid: 1000, activated: false })
  t.deepEqual(handover?.listeners, [{ fd: 4, bind: '127.0.0.1:8000' }])
})

test('the upgrade state leads to a clean environment without variables of systemd', (t) => {
  const handover = { kind: 'daemon', pid: 1, listeners: [], activated: false } as const
  const env = createUpgradeEnvironment(
    { A: '1', LISTEN_PID: '1', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', WATCHDOG_PID: '1' },
    handover,
  )
  t.deepEqual(takeUpgradeState(env), { ...handover, listeners: [] })
  t.deepEqual(env, { A: '1' })
})

test('an old arbiter that stops notifies systemd and keeps the socket files', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.deliverSignal('TERM')
  t.is(stage.notifications.at(-1), 'stopping 2000')
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:8000 (kept)'])
  for (const child of stage.system.running) child.exit({ code: 0 })
  t.is(await stage.status, 0)
  t.true(successor.isDetached)
})

test('a paused arbiter starts its workers again when its successor exits', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.deliverSignal('WINCH')
  for (const child of stage.system.running) child.exit({ code: 0 })
  await runQueued()
  t.is(stage.system.running.length, 0)
  successor.exit({ code: 3, signal: null })
  await runQueued()
  t.is(stage.system.running.length, 2)
  t.true(
    stage.log.includes(
      'warning The new arbiter (pid: 2000) exited (code 3); this one keeps serving',
    ),
  )
})

test('HUP starts the workers of a paused arbiter again, before its successor exits', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.deliverSignal('WINCH')
  for (const child of stage.system.running) child.exit({ code: 0 })
  await runQueued()
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  t.is(stage.system.running.length, 2)
  successor.exit({ code: 0, signal: null })
  await runQueued()
  t.is(stage.system.running.length, 2)
  t.false(stage.notifications.includes('reloading'))
  // USR2 is allowed again.
  await stage.system.deliverSignal('USR2')
  t.is(stage.system.successors.length, 2)
})

test('a new arbiter has its own title and pidfile until the old one exits', async (t) => {
  const channel = new FakeParent()
  const parent = { kind: 'upgrade', pid: 900, channel } as const
  const stage = await startArbiter({ pidfile: '/run/a.pid', proc_name: 'a' }, { parent })
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2'])
  t.regex(stage.titles[0] ?? '', /^monoceros: arbiter \[a\.2\]/)
  t.deepEqual(channel.received, [])
  await makeAllReady(stage)
  t.deepEqual(channel.received, [{ type: 'ready' }])
  channel.emitGone()
  await runQueued()
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2', '/run/a.pid.2 > /run/a.pid'])
  t.regex(stage.titles.at(-1) ?? '', /^monoceros: arbiter \[a\]/)
  t.is(stage.notifications.at(-1), 'promoted')
  t.true(stage.log.includes('info Master has been promoted.'))
  // The new arbiter now owns the socket files too.
  await stage.system.deliverSignal('TERM')
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:8000'])
})

test('a relative pidfile is renamed in the directory where it was written', async (t) => {
  const parent = { kind: 'upgrade', pid: 900, channel: new FakeParent() } as const
  const stage = await startArbiter({ pidfile: 'a.pid', chdir: '/run' }, { parent })
  parent.channel.emitGone()
  await runQueued()
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2', '/run/a.pid.2 > /run/a.pid'])
})

test('a new arbiter that stops before the old one keeps the socket files', async (t) => {
  const parent = { kind: 'upgrade', pid: 900, channel: new FakeParent() } as const
  const stage = await startArbiter({}, { parent })
  await makeAllReady(stage)
  await stage.system.deliverSignal('TERM')
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:8000 (kept)'])
})

async function upgrading(): Promise<{ stage: Stage; successor: FakeSuccessor }> {
  const stage = await startArbiter()
  await makeAllReady(stage)
  await stage.system.deliverSignal('USR2')
  const [successor] = stage.system.successors
  if (successor === undefined) throw new TypeError('no new arbiter was started')
  return { stage, successor }
}
