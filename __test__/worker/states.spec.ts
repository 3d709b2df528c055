// Walks the lifecycle table: in every order of events a worker exits once and reports once.

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

test('every state is reached from booting, and every state leads to the exit', (t) => {
  t.deepEqual([...reachableFrom('booting')].sort(), [...states].sort())
  for (const state of states) t.true(reachableFrom(state).has('gone'), state)
})

test('no event leads back to an earlier state, so no worker drains or exits twice', (t) => {
  for (const { state, event, next } of steps) {
    t.true(next === state || ORDER[next] > ORDER[state], `${state} x ${event} -> ${next}`)
  }
})

test('a process that is about to exit ignores all events', (t) => {
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

test('while a worker exits, a signal neither repeats nor interrupts a hook', (t) => {
  for (const event of ['drain', 'quit', 'restart', 'orphaned'] as const) {
    t.deepEqual(LIFECYCLE.exiting[event], { next: 'exiting', action: 'none' })
  }
})

test('the arbiter is notified once that a signal stops the worker, in any order', (t) => {
  const notifying: readonly LifecycleAction[] = [
    'notifyLeaving',
    'notifyLeavingAndInterrupt',
    'planGracefulDrain',
  ]
  const isNotifying = ({ action }: Step) => notifying.includes(action)
  for (const first of steps.filter(isNotifying)) {
    const later = reachableFrom(first.next)
    const repeated = steps.filter((step) => isNotifying(step) && later.has(step.state))
    t.deepEqual(repeated, [], `after ${first.state} x ${first.event}`)
  }
})

test('a drain is planned exactly where a worker starts to drain', (t) => {
  for (const { state, event, next, action } of steps) {
    const begins = next === 'draining' && state !== 'draining'
    t.is(action.startsWith('plan'), begins, `${state} x ${event}`)
  }
})

test('a worker without its arbiter exits by itself from every state', (t) => {
  const internalEvents: readonly LifecycleEvent[] = [
    'orphaned',
    'overdue',
    'exitHookDone',
    'failureSent',
    'failed',
    'engineCreated',
    'ready',
  ]
  const internalSteps = steps.filter(({ event }) => internalEvents.includes(event))
  for (const state of states) {
    t.true(reachableFrom(LIFECYCLE[state].orphaned.next, internalSteps).has('gone'), state)
  }
})

test('a failed boot never leads to a serving worker', (t) => {
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

test('every signal of a worker is an event of the table or is ignored on purpose', (t) => {
  const events = new Set<string>(steps.map(({ event }) => event))
  for (const signal of WORKER_SIGNALS) {
    const { worker: role } = SIGNALS[signal]
    t.true(role === 'ignore' || events.has(role), signal)
  }
})
