// The lifecycle table, checked by walking it: whatever happens in whatever order, a worker ends once and reports once.

import test from 'ava'

import { SIGNALS, WORKER_SIGNALS } from '../../ts/signals.ts'
import {
  LIFECYCLE,
  type LifecycleAction,
  type LifecycleEvent,
  type LifecycleState,
} from '../../ts/worker/states.ts'

/** No event leads from one of these to an earlier one; `exiting` and `failing` are alternatives. */
const ORDER: Readonly<Record<LifecycleState, number>> = {
  booting: 0,
  starting: 1,
  serving: 2,
  draining: 3,
  exiting: 4,
  failing: 4,
  gone: 5,
}

interface Step {
  readonly state: LifecycleState
  readonly event: LifecycleEvent
  readonly next: LifecycleState
  readonly action: LifecycleAction
}

const states = Object.keys(LIFECYCLE) as LifecycleState[]
const steps: readonly Step[] = states.flatMap((state) =>
  Object.entries(LIFECYCLE[state]).map(([event, cell]) => ({
    ...cell,
    state,
    event: event as LifecycleEvent,
  })),
)

/** Every state that the events of `steps` lead to from `start`. */
function reachableFrom(start: LifecycleState, allowed = steps): Set<LifecycleState> {
  const found = new Set([start])
  for (const state of found) {
    for (const step of allowed) if (step.state === state) found.add(step.next)
  }
  return found
}

test('every state is reached from booting, and every state leads to the end of the process', (t) => {
  t.deepEqual([...reachableFrom('booting')].sort(), [...states].sort())
  for (const state of states) t.true(reachableFrom(state).has('gone'), state)
})

test('no event leads back to an earlier state, so no worker drains or exits twice', (t) => {
  for (const { state, event, next } of steps) {
    t.true(next === state || ORDER[next] > ORDER[state], `${state} x ${event} -> ${next}`)
  }
})

test('a process that has been asked to exit reacts to nothing', (t) => {
  for (const { next, action } of steps.filter(({ state }) => state === 'gone')) {
    t.deepEqual({ next, action }, { next: 'gone', action: 'none' })
  }
})

test('TERM, INT and QUIT stop a worker in every state in which it runs', (t) => {
  for (const state of ['booting', 'starting', 'serving'] as const) {
    for (const event of ['drain', 'quit'] as const) {
      t.true(ORDER[LIFECYCLE[state][event].next] > ORDER.serving, `${state} x ${event}`)
    }
  }
  t.is(LIFECYCLE.serving.drain.next, 'draining')
  t.is(LIFECYCLE.draining.drain.action, 'none')
  t.is(LIFECYCLE.draining.quit.next, 'exiting')
})

test('while a worker exits, a signal neither calls a hook again nor cuts the hook short', (t) => {
  for (const event of ['drain', 'quit', 'restart', 'orphaned'] as const) {
    t.deepEqual(LIFECYCLE.exiting[event], { next: 'exiting', action: 'none' })
  }
})

test('the arbiter is notified once that a signal stops the worker, in whatever order events come', (t) => {
  const notifying: readonly LifecycleAction[] = [
    'notifyLeaving',
    'notifyLeavingAndInterrupt',
    'planGracefulDrain',
  ]
  const isNotifying = ({ action }: Step) => notifying.includes(action)
  for (const first of steps.filter(isNotifying)) {
    const after = reachableFrom(first.next)
    const again = steps.filter((step) => isNotifying(step) && after.has(step.state))
    t.deepEqual(again, [], `after ${first.state} x ${first.event}`)
  }
})

test('a drain is planned exactly where a worker begins to drain', (t) => {
  for (const { state, event, next, action } of steps) {
    const begins = next === 'draining' && state !== 'draining'
    t.is(action.startsWith('plan'), begins, `${state} x ${event}`)
  }
})

test('a worker without its arbiter ends by itself, whatever state it is in', (t) => {
  const own: readonly LifecycleEvent[] = [
    'orphaned',
    'overdue',
    'exitHookDone',
    'failureSent',
    'failed',
    'engineCreated',
    'ready',
  ]
  const without = steps.filter(({ event }) => own.includes(event))
  for (const state of states) {
    t.true(reachableFrom(LIFECYCLE[state].orphaned.next, without).has('gone'), state)
  }
})

test('a boot that fails never becomes a worker that serves', (t) => {
  const after = reachableFrom('failing')
  t.deepEqual([...after].sort(), ['failing', 'gone'])
})

test('certificates and log files are renewed in every state before the exit', (t) => {
  for (const state of ['booting', 'starting', 'serving', 'draining'] as const) {
    t.deepEqual(LIFECYCLE[state].updateTls, { next: state, action: 'applyTls' })
    t.deepEqual(LIFECYCLE[state].reopenLogs, { next: state, action: 'reopenLogs' })
  }
})

test('every event has an effect in some state', (t) => {
  const isEffective = ({ state, next, action }: Step) => next !== state || action !== 'none'
  for (const { event } of steps) {
    t.true(
      steps.some((step) => step.event === event && isEffective(step)),
      event,
    )
  }
})

test('every signal that a worker subscribes to is an event of the table, or ignored on purpose', (t) => {
  const events = new Set<string>(steps.map(({ event }) => event))
  for (const signal of WORKER_SIGNALS) {
    const { worker: role } = SIGNALS[signal]
    t.true(role === 'ignore' || events.has(role), signal)
  }
})
