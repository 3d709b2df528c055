/** Tests that need something of the machine: where it is missing, a skip has the reason. */

import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
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

/** `declare`, or a skip where workers cannot be another user: only root can change to one. */
export function needsOtherUsers(): Declare {
  const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
  const clone = fileURLToPath(new URL('..', import.meta.url))
  return needs('root, and a clone that others can read', isRoot && isPublic(clone))
}

/** Whether another user can read a directory: each directory of its path must permit that. */
function isPublic(directory: string): boolean {
  const parent = dirname(directory)
  return (statSync(directory).mode & 0o005) === 0o005 && (parent === directory || isPublic(parent))
}
