import test from 'ava'
import { startNode } from './engines.ts'
import { conformance } from './suite.ts'

conformance(test, startNode)
