/** Control groups of this process (Linux), read from files of the kernel. */

import { readFileSync } from 'node:fs'

/** Reads a file; undefined if it cannot be read. */
export type ReadText = (path: string) => string | undefined

/** Where control groups are mounted. */
export const CGROUP_ROOT = '/sys/fs/cgroup'

/** The group to which a controller (`memory`, `cpu`) assigns this process. */
export interface ControlGroup {
  /**
   * True for version 2, which has one tree for all controllers. In version 1 each controller has
   * its own tree.
   */
  readonly isUnified: boolean
  readonly path: string
}

/**
 * Returns the groups in which a controller may limit this process, of both versions if both are
 * mounted.
 */
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

/** Returns the text of a file of the kernel, or undefined if it cannot be read. */
export function readTextIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another operating system, the other version of control groups, or a path that is hidden from
    // this process.
    return undefined
  }
}
