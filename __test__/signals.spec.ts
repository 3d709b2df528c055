// docs/signals.md shows the table of ts/signals.ts, row by row.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { ARBITER_SIGNALS, SIGNALS, WORKER_SIGNALS } from '../ts/signals.ts'

test('the page has exactly the rows of the table', (t) => {
  const page = readFileSync(new URL('../docs/signals.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => /^\| `[A-Z0-9]+` \|/.test(line))
  t.deepEqual(
    rows,
    Object.entries(SIGNALS).map(
      ([name, { arbiterDoc, workerDoc }]) => `| \`${name}\` | ${arbiterDoc} | ${workerDoc} |`,
    ),
  )
})

test('the arbiter takes every signal that it answers, and leaves the rest to the system', (t) => {
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

test('a worker survives every signal that is meant for the arbiter', (t) => {
  const killing = ARBITER_SIGNALS.filter((signal) => !WORKER_SIGNALS.includes(signal))
  t.deepEqual(killing, [])
})
