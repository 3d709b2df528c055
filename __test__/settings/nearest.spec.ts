// Finds the known word that is nearest to an unknown word.
import test from 'ava'

import { didYouMean, nearest } from '../../ts/settings/nearest.ts'

const KNOWN = ['workers', 'worker_class', 'worker_connections', 'warning', 'bind', 'user']

const finds = test.macro({
  exec(t, word: string, expected: string | undefined) {
    t.is(nearest(word, KNOWN), expected)
  },
  title: (_, word, expected) => `the known word nearest to "${word}" is ${expected ?? 'none'}`,
})

test(finds, 'workers', 'workers')
test(finds, 'worker', 'workers')
test(finds, 'wrokers', 'workers')
test(finds, '--WORKER-CLASS', 'worker_class')
test(finds, 'workerConnections', 'worker_connections')
test(finds, 'worker_conections', 'worker_connections')
test(finds, 'warn', 'warning')
test(finds, 'bnid', 'bind')
test(finds, 'bin', 'bind')
test(finds, 'certfile', undefined)
test(finds, 'b', undefined)
test(finds, '', undefined)

test('didYouMean asks for a near word, else ends the sentence', (t) => {
  t.is(didYouMean('worker', KNOWN), '; did you mean "workers"?')
  t.is(
    didYouMean('worker', KNOWN, (word) => `--${word}`),
    '; did you mean --workers?',
  )
  t.is(didYouMean('nothing like it', KNOWN), '.')
})
