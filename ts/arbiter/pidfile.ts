/** The pidfile: the arbiter's process id for scripts; one that a dead arbiter left behind is replaced. */

import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'

import { monocerosError } from '../errors.ts'
import type { System } from '../process/system.ts'

/** Writes the pidfile; refuses when the process that it names is alive. Returns how to remove it. */
export function createPidfile(system: System, path: string): () => void {
  const owner = readPid(path)
  if (owner !== undefined && owner !== system.pid && system.alive(owner)) {
    throw monocerosError('ERR_PIDFILE_TAKEN', path, owner)
  }
  // Beside the target and renamed over it: whoever reads it never sees half of it.
  const temporary = `${path}.${system.pid}`
  try {
    writeFileSync(temporary, `${system.pid}\n`, { mode: 0o644 })
    renameSync(temporary, path)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_PIDFILE_WRITE', path, problem).causedBy(cause)
  }
  return () => {
    // Another arbiter may have taken it over.
    if (readPid(path) === system.pid) unlinkSync(path)
  }
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
