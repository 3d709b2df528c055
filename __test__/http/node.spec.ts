import test from 'ava'
import { startNode } from './engines.ts'
import { conformance } from './suite.ts'

const SKIPPED: Readonly<Record<string, string>> = {
  'an error that an application emits on its socket closes the connection':
    'node sends 400 after what has been written already; the engine closes the connection',
  "listener counts of a socket given to a 'connect' listener":
    'the engine adds listeners to wait for its close',
}

conformance(test, startNode, SKIPPED)
