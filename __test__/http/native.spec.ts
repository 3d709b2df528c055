import test from 'ava'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { startNative, stopNative } from './engines.ts'
import { conformance } from './suite.ts'

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  conformance(test, startNative)
  test.after.always(stopNative)
}
