import test from 'ava'
import { startNode } from './engines.ts'
import { conformance } from './suite.ts'

const SKIPPED: Readonly<Record<string, string>> = {
  'an error that a program emits at its socket':
    'node says 400 behind what has been written already; the engine ends the connection',
  'who listens to a socket that a program takes over': 'the engine waits for its end by listeners',
}

conformance(test, startNode, SKIPPED)
