// The text of thrown values.
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { describeThrown, removeOwnFrames } from '../../ts/log/thrown-value.ts'

const OWN = fileURLToPath(new URL('../../ts/engine/native/dispatcher.ts', import.meta.url))

test("an error's own properties and its cause stay inside their braces", (t) => {
  const error = new Error('no', { cause: Object.assign(new Error('why'), { errno: 1 }) })
  error.stack = `Error: no\n    at f (/app.js:1:1)\n    at run (${OWN}:1:1)`
  ;(error.cause as Error).stack = `Error: why\n    at g (/app.js:2:1)\n    at run (${OWN}:2:1)`
  t.deepEqual(describeThrown(error).split('\n'), [
    'Error: no',
    '    at f (/app.js:1:1) {',
    '  [cause]: Error: why',
    '      at g (/app.js:2:1) {',
    '    errno: 1',
    '  }',
    '}',
  ])
})

test('a shown stack has no frames of this program and of Node', (t) => {
  const lines = [
    'Error: no',
    `    at f (${OWN}:1:1)`,
    '    at g (node:internal/x:1:1)',
    '    at h (/app.js:1:1)',
  ]
  t.deepEqual(removeOwnFrames(lines), ['Error: no', '    at h (/app.js:1:1)'])
})

test('a thrown value that is not an error is shown as thrown', (t) => {
  t.is(describeThrown({ no: 1 }), 'thrown: { no: 1 }')
})
