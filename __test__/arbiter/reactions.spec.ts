// Every signal in every phase of the arbiter's life: the table is walked, each cell on an arbiter that is in the phase.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { type Phase, REACTIONS, type Reaction } from '../../ts/arbiter/reactions.ts'
import { ARBITER_SIGNALS, SIGNALS, type SignalName } from '../../ts/signals.ts'
import {
  allReady,
  type FakeChild,
  FakeParent,
  type FakeSystem,
  type Stage,
  settle,
  startArbiter,
} from './fake-system.ts'

/** How an arbiter of two workers comes into each phase. */
const PHASES: Record<Phase, () => Promise<Stage>> = {
  starting: () => startArbiter(),
  serving: () => serving(),
  async reloading() {
    const stage = await serving()
    await stage.system.signal('HUP')
    return stage
  },
  async upgrading() {
    const stage = await serving()
    await stage.system.signal('USR2')
    return stage
  },
  async takingOver() {
    const stage = await startArbiter(
      {},
      { parent: { kind: 'upgrade', pid: 900, channel: new FakeParent() } },
    )
    await allReady(stage)
    return stage
  },
  async paused() {
    const stage = await startArbiter({ daemon: true })
    await allReady(stage)
    await stage.system.signal('WINCH')
    return stage
  },
  async pausedForSuccessor() {
    const stage = await serving()
    await stage.system.signal('USR2')
    await stage.system.signal('WINCH')
    return stage
  },
  async stopping() {
    const stage = await serving()
    await stage.system.signal('TERM')
    return stage
  },
}

/** What is seen after each reaction, compared with before. */
const SEEN: Record<Reaction, (change: Change) => boolean> = {
  stop: ({ sent, told }) =>
    told[0]?.startsWith('stopping') === true && sent.every((signal) => signal === 'TERM'),
  quit: ({ sent }) => sent.length > 0 && sent.every((signal) => signal === 'QUIT'),
  quitWorkers: ({ said, sent }) => said.includes('Quick shutdown') && sent.includes('QUIT'),
  reload: ({ told, started }) => told.includes('reloading') && started === 1,
  addWorker: ({ started }) => started === 1,
  removeWorker: ({ said, sent, started }) =>
    !said.includes('refused') && sent.length <= 1 && started === 0,
  reopenLogs: ({ said, messages }) =>
    // A worker that leaves because everybody does was told so before.
    said.includes('reopened') && messages.every((m) => m === 'reopenLogs' || m === 'shortenDrain'),
  upgrade: ({ successors }) => successors === 1,
  pauseWorkers: ({ said, sent }) =>
    said.includes('SIGWINCH is ignored') ||
    (said.includes('Stopping all workers') && sent.length === 2),
  resumeWorkers: ({ started, told }) => started === 2 && !told.includes('reloading'),
  resumeAndReload: ({ started, told }) => started >= 2 && told.includes('reloading'),
  defer: (change) => isQuiet(change),
  refuse: (change) => change.said.includes('is refused') && isQuiet(change),
  ignore: (change) => isQuiet(change),
}

for (const [phase, reactions] of Object.entries(REACTIONS)) {
  for (const signal of ARBITER_SIGNALS) {
    const role = SIGNALS[signal].arbiter
    if (role === 'reap' || role === 'default') continue
    const reaction = reactions[role]
    test(`${signal} while ${phase}: ${reaction}`, async (t) => {
      const stage = await PHASES[phase as Phase]()
      const change = await changeBy(stage, signal)
      t.true(SEEN[reaction](change), JSON.stringify(change))
      t.true(stage.log.some((line) => line === `info Handling signal: ${signal.toLowerCase()}`))
      await endsWell(stage)
      t.is(await stage.status, 0)
    })
  }
}

test('what a phase does not allow yet is done once, when it does', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  for (const signal of ['HUP', 'HUP', 'USR2'] as const) await stage.system.signal(signal)
  t.is(stage.system.children.length, 1)
  await allReady(stage)
  t.deepEqual(stage.told.slice(0, 2), ['ready 1 workers serve', 'reloading'])
  t.is(stage.system.successors.length, 0)
  await allReady(stage)
  await end(stage.system.children[0])
  t.is(stage.system.successors.length, 1)
  t.is(stage.system.children.length, 2)
})

test('docs/signals.md shows what happens in which phase', (t) => {
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
  readonly said: string
  readonly told: readonly string[]
  readonly sent: readonly string[]
  readonly messages: readonly string[]
  readonly started: number
  readonly successors: number
}

async function changeBy(stage: Stage, signal: SignalName): Promise<Change> {
  const before = seen(stage)
  await stage.system.signal(signal)
  const after = seen(stage)
  return {
    said: after.log.slice(before.log.length).join('\n'),
    told: after.told.slice(before.told.length),
    sent: after.sent.flatMap((signals, index) => signals.slice(before.sent[index]?.length)),
    messages: after.messages.slice(before.messages.length),
    started: after.started - before.started,
    successors: after.successors - before.successors,
  }
}

function seen({ system, log, told }: Stage) {
  return {
    log: [...log],
    told: [...told],
    sent: system.children.map(({ signals }) => [...signals]),
    messages: system.children.flatMap(({ received }) => received.slice(1).map(({ type }) => type)),
    started: system.children.length,
    successors: system.successors.length,
  }
}

function isQuiet({ sent, messages, started, successors, told }: Change): boolean {
  return [...sent, ...messages, ...told].length === 0 && started === 0 && successors === 0
}

async function serving(): Promise<Stage> {
  const stage = await startArbiter()
  await allReady(stage)
  return stage
}

/** Whatever has happened, TERM ends it: every child that was asked to leave does. */
async function endsWell(stage: Stage): Promise<void> {
  const { system } = stage
  await system.signal('TERM')
  await leaveWhoWasAsked(system)
  await leaveWhoWasAsked(system)
}

async function leaveWhoWasAsked(system: FakeSystem): Promise<void> {
  for (const child of system.living) if (child.signals.length > 0) await end(child)
}

async function end(child: FakeChild | undefined): Promise<void> {
  child?.ends({ code: 0 })
  await settle()
}
