// Every cell of the table of worker states. A worker that was asked to stop is not asked again, its
// exit is not logged as a crash, and each signal and message is sent once.

import test from 'ava'

import { TRANSITIONS, type WorkerEvent, type WorkerState } from '../../ts/arbiter/states.ts'

/**
 * The events that change a state or need an action, as `event=nextState`. Every other event is
 * ignored.
 */
const EXPECTED = `
booting          ready=serving bootFailed=failing signaled=draining deadlinePassed=aborting
                 retire=draining quit=quitting exit=gone
failing          deadlinePassed=killedInFailure quit=quitting exit=gone
serving          signaled=draining timedOut=blocked retire=draining quit=quitting exit=gone
draining         timedOut=blocked deadlinePassed=killedInStop retire=draining quit=quitting
                 exit=gone
quitting         timedOut=killedInStop deadlinePassed=killedInStop quit=quitting exit=gone
killedInStop     exit=gone
blocked          blockReported=aborting deadlinePassed=aborting quit=killedInStop exit=gone
aborting         deadlinePassed=killedInFailure quit=killedInStop exit=gone
killedInFailure  exit=gone
gone
`

const events = Object.keys(TRANSITIONS.gone) as WorkerEvent[]
const expected = new Map<string, Map<string, string>>()
let transitions = new Map<string, string>()
for (const line of EXPECTED.trim().split('\n')) {
  const words = line.split(/\s+/)
  const state = words.shift() ?? ''
  if (state !== '') {
    transitions = new Map()
    expected.set(state, transitions)
  }
  for (const word of words) {
    const [event = '', next = ''] = word.split('=')
    transitions.set(event, next)
  }
}

for (const [name, reactions] of expected) {
  const state = name as WorkerState
  for (const event of events) {
    const next = reactions.get(event)
    const effect = next === undefined ? 'is ignored' : `leads to ${next}`
    test(`in worker state ${state} the event ${event} ${effect}`, (t) => {
      const { nextState, action } = TRANSITIONS[state][event]
      if (next === undefined)
        t.deepEqual({ nextState, action }, { nextState: state, action: 'ignore' })
      else {
        t.is(nextState, next as WorkerState)
        t.not(action, 'ignore')
      }
    })
  }
}

test('the table of transitions has a row for every state and a column for every event', (t) => {
  t.deepEqual(Object.keys(TRANSITIONS).sort(), [...expected.keys()].sort())
  for (const row of Object.values(TRANSITIONS)) t.deepEqual(Object.keys(row), events)
  for (const reactions of expected.values()) {
    for (const event of reactions.keys()) t.true(events.includes(event as WorkerEvent), event)
  }
})

test('the exit of a worker that was asked to stop is not a crash', (t) => {
  const actions = Object.entries(TRANSITIONS).map(([state, row]) => [state, row.exit.action])
  t.deepEqual(Object.fromEntries(actions), {
    booting: 'handleBootExit',
    failing: 'handleBootExit',
    serving: 'handleCrash',
    draining: 'recordStopped',
    quitting: 'recordStopped',
    killedInStop: 'recordStopped',
    blocked: 'handleCrash',
    aborting: 'handleCrash',
    killedInFailure: 'handleCrash',
    gone: 'ignore',
  })
})
