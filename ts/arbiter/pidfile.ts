/** The pidfile: the arbiter's process id for scripts; one that a dead arbiter left behind is replaced. */

import {
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'

import { MonocerosError, monocerosError } from '../errors.ts'
import { errorCode, type System } from '../process/system.ts'

export interface Pidfile {
  /** Removes it when it is still this process's. */
  remove(): void
  /** Puts it in the place of whatever is there. */
  rename(path: string): void
}

/** Writes the pidfile; refuses when the process that it names is alive. */
export function createPidfile(system: System, path: string): Pidfile {
  // Written beside the target and linked to it: whoever reads it never sees half of it, and of two arbiters that
  // start at the same time one gets it.
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
      // Another arbiter may have taken it over.
      if (readPid(current) === system.pid) rmSync(current, { force: true })
    },
    rename(to) {
      renameSync(current, to)
      current = to
    },
  }
}

/** Whether the file is ours now; false when there is one already. */
function linkIfFree(temporary: string, path: string): boolean {
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

// Some network and container file systems have no hard links.
const NO_HARD_LINKS_CODES: readonly (string | undefined)[] = [
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
]

// Moved away first: if another arbiter has put its own there meanwhile, it gets it back.
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
    // The other one was faster.
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
    // Not there, or not readable: then writing it will say why.
    return undefined
  }
  const pid = Number(text.trim())
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}
