/** The control groups of this process, as far as Linux has files about them. */

import { readFileSync } from 'node:fs'

export type ReadText = (path: string) => string | undefined

export const CGROUP_ROOT = '/sys/fs/cgroup'

/** A group in which one controller has this process. */
export interface ControlGroup {
  /** Version 2 has one tree for all controllers; in version 1 each has its own. */
  readonly isUnified: boolean
  readonly path: string
}

/** The groups that a controller may limit this process by: of both versions where both are mounted. */
export function findControlGroups(
  controller: string,
  read: ReadText = readTextIfExists,
): ControlGroup[] {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'))
  return lines.flatMap(([, controllers, ...path]) => {
    const isUnified = controllers === ''
    if (!isUnified && !(controllers ?? '').split(',').includes(controller)) return []
    return [{ isUnified, path: path.join(':') }]
  })
}

/** The text of a file of the kernel's, or undefined. */
export function readTextIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another system than Linux, the other version of control groups, or a place that is hidden from us.
    return undefined
  }
}
