/**
 * The addon for tests that need it; without one they are skipped, as the product does without it.
 */

import test from 'ava'

import { type Native, native } from '../../ts/native/index.ts'

/** `test`, or `test.skip` where there is no addon. */
export const testNative = native === null ? test.skip : test

/** The same, for what only Linux has. */
export const testLinux = native === null || process.platform !== 'linux' ? test.skip : test

/** The addon, in tests that only run with it. */
export function addon(): Native {
  if (native === null) throw new TypeError('this test needs the addon')
  return native
}
