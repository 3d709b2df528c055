/**
 * The pidfile: holds the arbiter's process id for scripts. A file left by a dead arbiter is
 * replaced.
 */

import { readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'

import { MonocerosError, monocerosError } from '../errors.ts'
import { linkIfFree } from '../process/link-file.ts'
import { errorCode, type System } from '../process/system.ts'

/** A pidfile that this process has written. */
export interface Pidfile {
  /** Removes the file if it still holds this process's id. */
  remove(): void
  /** Moves the file to another path and replaces what is there. */
  rename(path: string): void
}

/**
 * Writes the pidfile. Throws ERR_PIDFILE_TAKEN if the process that an existing file names is alive.
 */
export function createPidfile(system: System, path: string): Pidfile {
  // Written to a temporary file and linked to the target. A reader never sees a partial file, and
  // of two arbiters that start at the same time one gets the pidfile.
  const temporary = `${path}.${system.pid}`
  try {
    writeFileSync(temporary, `${system.pid}\n`, { mode: 0o644 })
    while (!linkIfFree(temporary, path)) removeStale(system, path)
  } catch (cause) {
    throw pidfileWriteError(path, cause)
  } finally {
    rmSync(temporary, { force: true })
  }
  let current = path
  return {
    remove() {
      // Another arbiter may have replaced the file.
      if (readPid(current) === system.pid) rmSync(current, { force: true })
    },
    rename(to) {
      renameSync(current, to)
      current = to
    },
  }
}

// Moves the file away before it is removed. If another arbiter has written its own file meanwhile,
// that file is put back.
function removeStale(system: System, path: string): void {
  const owner = readPid(path)
  if (owner !== undefined && owner !== system.pid && system.isAlive(owner)) {
    throw monocerosError('ERR_PIDFILE_TAKEN', path, owner)
  }
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
    throw monocerosError('ERR_PIDFILE_WRITE', path, 'it is not a file')
  }
  const moved = `${path}.${system.pid}.stale`
  try {
    renameSync(path, moved)
  } catch (error) {
    // Another arbiter has moved the file first.
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  const found = readPid(moved)
  if (found !== owner) linkIfFree(moved, path)
  unlinkSync(moved)
}

function pidfileWriteError(path: string, cause: unknown): unknown {
  if (cause instanceof MonocerosError) return cause
  const problem = cause instanceof Error ? cause.message : String(cause)
  return monocerosError('ERR_PIDFILE_WRITE', path, problem).withCause(cause)
}

function readPid(path: string): number | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // The file does not exist or cannot be read. In the second case writing it reports the problem.
    return undefined
  }
  const pid = Number(text.trim())
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}
