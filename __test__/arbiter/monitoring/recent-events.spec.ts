// The list of restarts and reloads.

import test from 'ava'

import { MAX_EVENTS, RecentEvents } from '../../../ts/arbiter/monitoring/recent-events.ts'
import { FakeSystem } from '../fake-system.ts'

test('the list is bounded, and so is the text of an event', (t) => {
  const events = new RecentEvents(new FakeSystem())
  const error = `${'x'.repeat(10_000)}\n    at app.js`
  for (let number = 1; number <= 3 * MAX_EVENTS; number += 1) {
    events.recordReload(number % 2 === 0 ? 'succeeded' : 'failed', { number, error })
  }
  const list = events.list()
  t.is(list.length, MAX_EVENTS)
  t.is(list[0]?.detail, `all workers have generation ${3 * MAX_EVENTS}`)
  t.true(list.every(({ detail }) => detail.length <= 200 && !detail.includes('\n')))
})
