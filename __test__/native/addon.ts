/**
 * The addon for tests that need it; without one they are skipped, as the product does without it.
 */

import test from 'ava'

import { type Native, native } from '../../ts/native/index.ts'
import { needs, needsAddon } from '../requirements.ts'

/** `test`, or `test.skip` where there is no addon. */
export const testNative = needsAddon(test)

/** The same, for what only Linux has. */
export const testLinux = needs('Linux', process.platform === 'linux', needsAddon(test))

/** The addon, in tests that only run with it. */
export function addon(): Native {
  if (native === null) throw new TypeError('this test needs the addon')
  return native
}
