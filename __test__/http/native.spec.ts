import test from 'ava'
import { nodeMajor } from '../../ts/http/node/internals.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { startNative, stopNative } from './engines.ts'
import { conformance } from './suite.ts'

// Node 26 puts the writes of one tick into one chunk; the engine makes a chunk of each.
const MERGED = 'chunks are cut as the program wrote'
const skippedOn26 = Object.fromEntries(
  [
    'GET: write, then end',
    'GET, kept alive: write, then end',
    'GET: methods of the parent, in pieces',
    'GET, kept alive: methods of the parent, in pieces',
    'GET: cork and uncork',
    'GET, kept alive: cork and uncork',
    'write and end',
    'the callbacks of writes',
  ].map((title) => [title, MERGED]),
)

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  conformance(test, startNative, nodeMajor >= 26 ? skippedOn26 : {})
  test.after.always(stopNative)
}
