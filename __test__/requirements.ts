/** Tests that need something of the machine: where it is missing, a skip has the reason. */
import test, { type ImplementationFn } from 'ava'

import { native } from '../ts/native/index.ts'

type Declare = (title: string, implementation: ImplementationFn<[]>) => void

/** Returns `declare`, or a skip whose title ends with what the machine lacks. */
export function needs(what: string, isAvailable: boolean, declare: Declare = test.serial): Declare {
  if (isAvailable) return declare
  return (title, implementation) => test.skip(`${title} (needs ${what})`, implementation)
}

/** `declare`, or a skip where the addon is not loaded. */
export function needsAddon(declare: Declare = test.serial): Declare {
  return needs('the addon', native !== null, declare)
}
