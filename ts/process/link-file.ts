/** Gives a complete file its name: of two processes that try it at the same time, one succeeds. */

import { existsSync, linkSync, renameSync } from 'node:fs'

import { errorCode } from './system.ts'

/** Gives a file a second name. Returns false if that name exists. */
export function linkIfFree(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    if (!NO_HARD_LINKS_CODES.includes(errorCode(error))) throw error
    if (existsSync(path)) return false
    renameSync(temporary, path)
    return true
  }
}

// Error codes of file systems without hard links (some network and container file systems).
const NO_HARD_LINKS_CODES: readonly (string | undefined)[] = [
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
]
