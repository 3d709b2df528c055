import test from 'ava'
import { nodeMajor } from '../../ts/http/node/internals.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { startNative, stopNative } from './engines.ts'
import { conformance } from './suite.ts'

// Node 22 and 24 send corked data after the chunk that ends the body. A client takes it for the
// next response.
const SKIPPED: Readonly<Record<string, string>> = {
  ...((nodeMajor === 22 || nodeMajor === 24) && {
    'a response corked and ended': 'node sends it too late',
  }),
  ...(process.env.MONOCEROS_LOOP === 'io-thread' && {
    'the client has the response of an immediate before the next immediates run':
      'the I/O thread sends it meanwhile',
  }),
}

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  conformance(test, startNative, SKIPPED)
  test.after.always(stopNative)
}
