// Two arbiters: what the old one hands over and refuses, what the new one takes on, which of them takes files away.

import test from 'ava'

import { takeUpgradeState, upgradeEnvironment } from '../../ts/arbiter/upgrade-state.ts'
import {
  allReady,
  FakeParent,
  type FakeSuccessor,
  type Stage,
  settle,
  startArbiter,
} from './fake-system.ts'

test('USR2 hands over the sockets, as the program was started', async (t) => {
  const { successor } = await upgrading()
  t.like(successor.options, {
    program: { entry: '/app/monoceros', args: ['./app.js'], cwd: '/' },
    extraFds: [50],
  })
  const handover = takeUpgradeState({ ...successor.options.env })
  t.like(handover, { kind: 'upgrade', pid: 1000, activated: false })
  t.deepEqual(handover?.listeners, [{ fd: 4, bind: '127.0.0.1:8000' }])
})

test('a handover is seen by nobody but who it is for, and systemd is not passed on', (t) => {
  const handover = { kind: 'daemon', pid: 1, listeners: [], activated: false } as const
  const env = upgradeEnvironment(
    { A: '1', LISTEN_PID: '1', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', WATCHDOG_PID: '1' },
    handover,
  )
  t.deepEqual(takeUpgradeState(env), { ...handover, listeners: [] })
  t.deepEqual(env, { A: '1' })
})

test('the old one stops: systemd hears of the new one, the files stay, the new one is let go', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.signal('TERM')
  t.is(stage.told.at(-1), 'stopping 2000')
  t.deepEqual(stage.closed, ['127.0.0.1:8000 (kept)'])
  for (const child of stage.system.living) child.ends({ code: 0 })
  t.is(await stage.status, 0)
  t.true(successor.released)
})

test('the new one ends while the old one rests: the workers come back', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.signal('WINCH')
  for (const child of stage.system.living) child.ends({ code: 0 })
  await settle()
  t.is(stage.system.living.length, 0)
  successor.onExitCallback({ code: 3, signal: null })
  await settle()
  t.is(stage.system.living.length, 2)
  t.true(
    stage.log.includes(
      'warning The new arbiter (pid: 2000) exited (code 3); this one keeps serving',
    ),
  )
})

test('roll-back: HUP brings the workers of the old one back, and the end of the new one changes nothing', async (t) => {
  const { stage, successor } = await upgrading()
  await stage.system.signal('WINCH')
  for (const child of stage.system.living) child.ends({ code: 0 })
  await settle()
  await stage.system.signal('HUP')
  await allReady(stage)
  t.is(stage.system.living.length, 2)
  successor.onExitCallback({ code: 0, signal: null })
  await settle()
  t.is(stage.system.living.length, 2)
  t.false(stage.told.includes('reloading'))
  // Alone again, it obeys.
  await stage.system.signal('USR2')
  t.is(stage.system.successors.length, 2)
})

test('the new one has names of its own until the old one has ended', async (t) => {
  const channel = new FakeParent()
  const parent = { kind: 'upgrade', pid: 900, channel } as const
  const stage = await startArbiter({ pidfile: '/run/a.pid', proc_name: 'a' }, { parent })
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2'])
  t.regex(stage.titles[0] ?? '', /^monoceros: arbiter \[a\.2\]/)
  t.deepEqual(channel.heard, [])
  await allReady(stage)
  t.deepEqual(channel.heard, [{ type: 'ready' }])
  channel.gone()
  await settle()
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2', '/run/a.pid.2 > /run/a.pid'])
  t.regex(stage.titles.at(-1) ?? '', /^monoceros: arbiter \[a\]/)
  t.is(stage.told.at(-1), 'promoted')
  t.true(stage.log.includes('info Master has been promoted.'))
  // Now it has the files of its sockets too.
  await stage.system.signal('TERM')
  t.deepEqual(stage.closed, ['127.0.0.1:8000'])
})

test('a pidfile stays where chdir was when it was written', async (t) => {
  const parent = { kind: 'upgrade', pid: 900, channel: new FakeParent() } as const
  const stage = await startArbiter({ pidfile: 'a.pid', chdir: '/run' }, { parent })
  parent.channel.gone()
  await settle()
  t.deepEqual(stage.pidfiles, ['/run/a.pid.2', '/run/a.pid.2 > /run/a.pid'])
})

test('the new one is ended: the files of its sockets are those of the old one', async (t) => {
  const parent = { kind: 'upgrade', pid: 900, channel: new FakeParent() } as const
  const stage = await startArbiter({}, { parent })
  await allReady(stage)
  await stage.system.signal('TERM')
  t.deepEqual(stage.closed, ['127.0.0.1:8000 (kept)'])
})

async function upgrading(): Promise<{ stage: Stage; successor: FakeSuccessor }> {
  const stage = await startArbiter()
  await allReady(stage)
  await stage.system.signal('USR2')
  const [successor] = stage.system.successors
  if (successor === undefined) throw new TypeError('no new arbiter was started')
  return { stage, successor }
}
