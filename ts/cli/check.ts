/**
 * `--check-config`: finds the errors that a start would report, without opening an address or
 * creating a file.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { checkApplication } from '../arbiter/check.ts'
import { ArbiterHooks } from '../arbiter/hooks.ts'
import { openTls } from '../arbiter/tls.ts'
import { monocerosError } from '../errors.ts'
import { checkAddresses } from '../listen/check.ts'
import { createLogger } from '../log/logger.ts'
import { system } from '../process/system.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'

/**
 * Resolves to the exit status that a start would have. Throws errors in the settings; errors of the
 * application are logged.
 */
export async function checkConfig(resolved: ResolvedConfig): Promise<number> {
  const { values, warnings } = resolved
  for (const warning of warnings) process.stderr.write(`monoceros: warning: ${warning}\n`)
  checkFiles(values)
  await checkAddresses(values)
  // Results are printed on the terminal, and the log of a running server stays as it is.
  const config: Config = { ...values, errorlog: '-' }
  const log = createLogger(config)
  const hooks = new ArbiterHooks(log)
  await hooks.load(resolved)
  openTls(values, { system, sslContext: hooks.findSslContextHook(values) })
  return checkApplication(config, log)
}

function checkFiles({ accesslog, errorlog, pidfile, chdir }: Config): void {
  for (const [setting, path] of Object.entries({ errorlog, accesslog })) {
    if (path === null || path === '-') continue
    const problem = writeProblem(resolve(chdir, path))
    if (problem !== undefined) throw monocerosError('ERR_LOG_FILE', setting, path, problem)
  }
  const problem = pidfile === null ? undefined : writeProblem(resolve(chdir, pidfile))
  if (problem !== undefined) throw monocerosError('ERR_PIDFILE_WRITE', String(pidfile), problem)
}

function writeProblem(path: string): string | undefined {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats?.isDirectory() === true) return 'it is a directory'
    if (stats === undefined) accessSync(dirname(path), constants.W_OK | constants.X_OK)
    else accessSync(path, constants.W_OK)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
