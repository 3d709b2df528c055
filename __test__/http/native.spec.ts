import test from 'ava'
import { nodeMajor } from '../../ts/http/node/internals.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { startNative, stopNative } from './engines.ts'
import { conformance } from './suite.ts'

// Node 22 and 24 send what was corked behind the chunk that ends the body, so that a client takes it for the next answer.
const SKIPPED: Readonly<Record<string, string>> =
  nodeMajor === 22 || nodeMajor === 24 ? { 'corked and ended': 'node sends it too late' } : {}

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  conformance(test, startNative, SKIPPED)
  test.after.always(stopNative)
}
