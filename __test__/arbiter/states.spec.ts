// Every cell of the table: no state is left that cannot be, no worker that was asked to leave is asked again or
// called a crash, and whoever is told something gets it once.

import test from 'ava'

import { STATES, type WorkerEvent, type WorkerState } from '../../ts/arbiter/states.ts'

/** The table as a person would draw it: `.` is "ignored, stays". */
const DRAWN = `
            ready    failed   leaving   silent    explained  overdue   retire     quit       exit
booting     serving  failing  draining  .         .          aborting  draining   quitting   gone
failing     .        .        .         .         .          killed    .          quitting   gone
serving     .        .        draining  blocked   .          .         draining   quitting   gone
draining    .        .        .         blocked   .          cut       draining!  quitting   gone
quitting    .        .        .         cut       .          cut       .          quitting!  gone
cut         .        .        .         .         .          .         .          .          gone
blocked     .        .        .         .         aborting   aborting  .          cut        gone
aborting    .        .        .         .         .          killed    .          cut        gone
killed      .        .        .         .         .          .         .          .          gone
gone        .        .        .         .         .          .         .          .          .
`

const [head = '', ...rows] = DRAWN.trim().split('\n')
const events = head.trim().split(/\s+/) as WorkerEvent[]

for (const row of rows) {
  const [name, ...cells] = row.trim().split(/\s+/)
  const state = name as WorkerState
  for (const [index, event] of events.entries()) {
    const drawn = cells[index] ?? ''
    test(`${state} x ${event}: ${drawn}`, (t) => {
      const { next, action } = STATES[state][event]
      if (drawn === '.') t.deepEqual({ next, action }, { next: state, action: 'ignore' })
      else {
        t.is(next, drawn.replace('!', '') as WorkerState)
        t.not(action, 'ignore')
      }
    })
  }
}

test('the drawing has every state and every event', (t) => {
  t.deepEqual(Object.keys(STATES).sort(), rows.map((row) => row.split(/\s+/)[0] ?? '').sort())
  for (const cells of Object.values(STATES)) t.deepEqual(Object.keys(cells), events)
})

test('an end that was asked for is a farewell, any other a failure', (t) => {
  const actions = Object.entries(STATES).map(([state, cells]) => [state, cells.exit.action])
  t.deepEqual(Object.fromEntries(actions), {
    booting: 'bootFailed',
    failing: 'bootFailed',
    serving: 'crashed',
    draining: 'farewell',
    quitting: 'farewell',
    cut: 'farewell',
    blocked: 'crashed',
    aborting: 'crashed',
    killed: 'crashed',
    gone: 'ignore',
  })
})
