// Every signal in every phase of the arbiter: each cell of the table is tested on an arbiter that
// is in the phase.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { type Phase, REACTIONS, type Reaction } from '../../ts/arbiter/reactions.ts'
import { ARBITER_SIGNALS, SIGNALS, type SignalName } from '../../ts/signals.ts'
import { type FakeChild, FakeParent } from './fake-processes.ts'
import {
  type FakeSystem,
  makeAllReady,
  runQueued,
  type Stage,
  startArbiter,
} from './fake-system.ts'

/** How to bring an arbiter with two workers into each phase. */
const PHASES: Record<Phase, () => Promise<Stage>> = {
  starting: () => startArbiter(),
  serving: () => serving(),
  async reloading() {
    const stage = await serving()
    await stage.system.deliverSignal('HUP')
    return stage
  },
  async upgrading() {
    const stage = await serving()
    await stage.system.deliverSignal('USR2')
    return stage
  },
  async takingOver() {
    const stage = await startArbiter(
      {},
      { parent: { kind: 'upgrade', pid: 900, channel: new FakeParent() } },
    )
    await makeAllReady(stage)
    return stage
  },
  async paused() {
    const stage = await startArbiter({ daemon: true })
    await makeAllReady(stage)
    await stage.system.deliverSignal('WINCH')
    return stage
  },
  async pausedForSuccessor() {
    const stage = await serving()
    await stage.system.deliverSignal('USR2')
    await stage.system.deliverSignal('WINCH')
    return stage
  },
  async stopping() {
    const stage = await serving()
    await stage.system.deliverSignal('TERM')
    return stage
  },
}

/** Whether a change fits each reaction. */
const EXPECTED: Record<Reaction, (change: Change) => boolean> = {
  stop: ({ signals, notifications }) =>
    notifications[0]?.startsWith('stopping') === true &&
    signals.every((signal) => signal === 'TERM'),
  quit: ({ signals }) => signals.length > 0 && signals.every((signal) => signal === 'QUIT'),
  quitWorkers: ({ logged, signals }) =>
    logged.includes('Quick shutdown') && signals.includes('QUIT'),
  reload: ({ notifications, startedWorkers }) =>
    notifications.includes('reloading') && startedWorkers === 1,
  addWorker: ({ startedWorkers }) => startedWorkers === 1,
  removeWorker: ({ logged, signals, startedWorkers }) =>
    !logged.includes('refused') && signals.length <= 1 && startedWorkers === 0,
  reopenLogs: ({ logged, messages }) =>
    // A worker that stops with the arbiter has received this message before.
    logged.includes('reopened') &&
    messages.every((m) => m === 'reopenLogs' || m === 'shortenDrain'),
  upgrade: ({ successors }) => successors === 1,
  pauseWorkers: ({ logged, signals }) =>
    logged.includes('SIGWINCH is ignored') ||
    (logged.includes('Stopping all workers') && signals.length === 2),
  resumeWorkers: ({ startedWorkers, notifications }) =>
    startedWorkers === 2 && !notifications.includes('reloading'),
  resumeAndReload: ({ startedWorkers, notifications }) =>
    startedWorkers >= 2 && notifications.includes('reloading'),
  defer: (change) => isQuiet(change),
  refuse: (change) => change.logged.includes('is refused') && isQuiet(change),
  ignore: (change) => isQuiet(change),
}

for (const [phase, reactions] of Object.entries(REACTIONS)) {
  for (const signal of ARBITER_SIGNALS) {
    const role = SIGNALS[signal].arbiter
    if (role === 'reap' || role === 'default') continue
    const reaction = reactions[role]
    test(`the signal ${signal} in phase ${phase} has the reaction ${reaction}`, async (t) => {
      const stage = await PHASES[phase as Phase]()
      const change = await changeBy(stage, signal)
      t.true(EXPECTED[reaction](change), JSON.stringify(change))
      const isDropped = /SIG\w+ is (?:ignored|refused)/.test(change.logged)
      const line = `info Handling signal: ${signal.toLowerCase()}`
      t.is(change.logged.includes(line), !isDropped, change.logged)
      await stopAndExit(stage)
      t.is(await stage.status, 0)
    })
  }
}

test('a deferred signal takes effect once, when the phase allows it', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  for (const signal of ['HUP', 'HUP', 'USR2'] as const) await stage.system.deliverSignal(signal)
  t.is(stage.system.children.length, 1)
  await makeAllReady(stage)
  t.deepEqual(stage.notifications.slice(0, 2), ['ready 1 workers serve', 'reloading'])
  t.is(stage.system.successors.length, 0)
  await makeAllReady(stage)
  await end(stage.system.children[0])
  t.is(stage.system.successors.length, 1)
  t.is(stage.system.children.length, 2)
})

test('docs/signals.md shows the table of reactions', (t) => {
  const page = readFileSync(new URL('../../docs/signals.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => /^\| (?:starting|serving) \|/.test(line))
  t.is(rows.length, 2)
  t.regex(page, /`USR1` reopens the\s+logs in every phase/)
  for (const [phase, reactions] of Object.entries(REACTIONS)) {
    t.true(page.includes(`| ${phase} | ${cells(phase as Phase).join(' | ')} |`), phase)
    t.is(reactions.reopenLogs, 'reopenLogs', phase)
  }
})

function cells(phase: Phase): Reaction[] {
  const { stop, quit, reload, addWorker, removeWorker, upgrade, pauseWorkers } = REACTIONS[phase]
  return [stop, quit, reload, addWorker, removeWorker, upgrade, pauseWorkers]
}

interface Change {
  readonly logged: string
  readonly notifications: readonly string[]
  readonly signals: readonly string[]
  readonly messages: readonly string[]
  readonly startedWorkers: number
  readonly successors: number
}

async function changeBy(stage: Stage, signal: SignalName): Promise<Change> {
  const before = snapshot(stage)
  await stage.system.deliverSignal(signal)
  const after = snapshot(stage)
  return {
    logged: after.log.slice(before.log.length).join('\n'),
    notifications: after.notifications.slice(before.notifications.length),
    signals: after.signals.flatMap((signals, index) =>
      signals.slice(before.signals[index]?.length),
    ),
    messages: after.messages.slice(before.messages.length),
    startedWorkers: after.startedWorkers - before.startedWorkers,
    successors: after.successors - before.successors,
  }
}

function snapshot({ system, log, notifications }: Stage) {
  return {
    log: [...log],
    notifications: [...notifications],
    signals: system.children.map((child) => [...child.signals]),
    messages: system.children.flatMap(({ received }) => received.slice(1).map(({ type }) => type)),
    startedWorkers: system.children.length,
    successors: system.successors.length,
  }
}

function isQuiet({
  signals,
  messages,
  startedWorkers,
  successors,
  notifications,
}: Change): boolean {
  return (
    [...signals, ...messages, ...notifications].length === 0 &&
    startedWorkers === 0 &&
    successors === 0
  )
}

async function serving(): Promise<Stage> {
  const stage = await startArbiter()
  await makeAllReady(stage)
  return stage
}

/** TERM ends every test: each child that was asked to stop exits. */
async function stopAndExit(stage: Stage): Promise<void> {
  const { system } = stage
  await system.deliverSignal('TERM')
  await exitStoppedChildren(system)
  await exitStoppedChildren(system)
}

async function exitStoppedChildren(system: FakeSystem): Promise<void> {
  for (const child of system.running) if (child.signals.length > 0) await end(child)
}

async function end(child: FakeChild | undefined): Promise<void> {
  child?.exit({ code: 0 })
  await runQueued()
}
