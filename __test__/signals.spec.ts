// The table of signals: its page, and the signals that the two processes subscribe to.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { listItem } from '../ts/settings/markdown.ts'
import { ARBITER_SIGNALS, SIGNALS, WORKER_SIGNALS } from '../ts/signals.ts'

test('docs/signals.md describes every signal, in the words and the order of the table', (t) => {
  const page = readFileSync(new URL('../docs/signals.md', import.meta.url), 'utf8')
  const [, ...sections] = page.split(/^### /m)
  const described = sections.filter((section) => /^[A-Z0-9]+\n/.test(section))
  const expected = Object.entries(SIGNALS).map(
    ([name, { arbiterDoc, workerDoc }]) =>
      `${name}\n\n${listItem(`Arbiter: ${arbiterDoc}`)}${listItem(`Worker: ${workerDoc}`)}\n`,
  )
  t.deepEqual(described, expected)
})

test('the arbiter subscribes to the signals that it reacts to, and to no others', (t) => {
  t.deepEqual(ARBITER_SIGNALS, [
    'TERM',
    'INT',
    'QUIT',
    'HUP',
    'TTIN',
    'TTOU',
    'USR1',
    'USR2',
    'WINCH',
  ])
})

test('no signal for the arbiter kills a worker that receives it too', (t) => {
  const unhandled = ARBITER_SIGNALS.filter((signal) => !WORKER_SIGNALS.includes(signal))
  t.deepEqual(unhandled, [])
})
