/** What the settings for development ask of others. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { isGlob } from './glob.ts'

/** Extra files must be there; a pattern may wait for files that match. */
export function requireExtraFiles(
  paths: unknown,
  { subject, cwd }: { subject: string; cwd: string },
) {
  if (!Array.isArray(paths)) return
  const missing = paths.find((path) => !isGlob(path) && !existsSync(resolve(cwd, path)))
  if (missing === undefined) return
  const problem = 'there is no such file or directory'
  throw monocerosError('ERR_SETTING_ITEM', subject, JSON.stringify(missing), problem)
}

/** A day: whoever debugs a program while it loads needs no more. */
const DEBUGGED_BOOT_SECONDS = 86_400

/** Of a worker that a debugger has stopped nobody knows whether it is blocked. */
const DEBUGGER_DEFAULTS: Readonly<Record<string, number>> = {
  timeout: 0,
  request_timeout: 0,
  boot_timeout: DEBUGGED_BOOT_SECONDS,
}

/** Settles what nobody has given, where workers are debugged. */
export function applyDebuggerDefaults(
  values: Record<string, unknown>,
  origins: Record<string, string>,
): void {
  const name = ['inspect', 'inspect_brk'].find((setting) => values[setting] !== null)
  if (name === undefined) return
  for (const [setting, value] of Object.entries(DEBUGGER_DEFAULTS)) {
    if (origins[setting] !== 'default') continue
    values[setting] = value
    origins[setting] = name
  }
}
