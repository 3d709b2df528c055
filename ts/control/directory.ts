/**
 * The directory of the control sockets of one user: `$XDG_RUNTIME_DIR/monoceros`, or
 * `/tmp/monoceros-UID`. Only the user can enter it. Each instance has a socket with its process id
 * as the name, so that `monoceros ctl` finds it.
 */

import { lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { systemError } from '../errors.ts'

const DIRECTORY_MODE = 0o700
/** Permissions of a group and of others. */
const FOREIGN_BITS = 0o077
const SOCKET_NAME = /^\d+\.sock$/

/** Returns the directories where sockets may be; a server uses the first one that it can. */
export function listControlDirectories(env: NodeJS.ProcessEnv): string[] {
  const runtime = env.XDG_RUNTIME_DIR
  const shared = join(tmpdir(), `monoceros-${process.getuid?.() ?? 0}`)
  return runtime === undefined || runtime === '' ? [shared] : [join(runtime, 'monoceros'), shared]
}

/** Returns the path of an instance's socket in a directory. */
export function controlSocketPath(directory: string, pid: number): string {
  return join(directory, `${pid}.sock`)
}

/**
 * Creates a directory that only this user can enter. Throws if the directory exists and another
 * user could have made it or could change it.
 */
export function createControlDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: DIRECTORY_MODE })
  } catch (error) {
    if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) throw error
  }
  assertOwnDirectory(directory)
}

/** Returns the paths of the sockets in a directory; none if it is missing or not our own. */
export function listSockets(directory: string): string[] {
  try {
    assertOwnDirectory(directory)
    const names = readdirSync(directory).filter((name) => SOCKET_NAME.test(name))
    return names.map((name) => join(directory, name))
  } catch {
    // Without a directory of our own there are no sockets of our own.
    return []
  }
}

function assertOwnDirectory(directory: string): void {
  const stats = lstatSync(directory)
  if (!stats.isDirectory()) throw systemError('ENOTDIR', directory)
  const isOwn = stats.uid === (process.getuid?.() ?? stats.uid)
  if (!isOwn || (stats.mode & FOREIGN_BITS) !== 0) {
    throw systemError('EACCES', `${directory} must belong to this user alone (mode 0700)`)
  }
}
