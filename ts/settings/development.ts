/** Checks of the settings for development, and their effect on other settings. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { isGlob } from './glob.ts'

/** Throws if a path of `reload_extra_files` does not exist. A pattern may match nothing yet. */
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

/** One day: enough to debug a program while it loads. */
const DEBUGGER_BOOT_TIMEOUT_SECONDS = 86_400

/** Defaults while workers are debugged: a worker that a debugger has stopped looks blocked. */
const DEBUGGER_DEFAULTS: Readonly<Record<string, number>> = {
  timeout: 0,
  request_timeout: 0,
  boot_timeout: DEBUGGER_BOOT_TIMEOUT_SECONDS,
}

/** Changes the timeouts that no source sets, if `inspect` or `inspect_brk` is set. */
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
