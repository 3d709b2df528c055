/**
 * The logs of a worker. One that replaces another serves although a file cannot be opened any more, since its directory is
 * gone, say: the arbiter and those that have it open write on, and nobody would serve in the end.
 */

import { closeSync } from 'node:fs'

import { MonocerosError, monocerosError } from '../errors.ts'
import { openForAppending } from '../log/append.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import type { BootMessage } from '../messages.ts'
import { errorCode } from '../process/system.ts'
import type { Config } from '../settings/config.ts'

/** Opens the error log; in the place of a file that has gone it is standard error. */
export function openErrorLog({ config, capturedOutputFds, hasServedBefore }: BootMessage): Logger {
  const where = capturedOutputFds === undefined ? {} : { stderr: capturedOutputFds.stderr }
  try {
    return createLogger(config, where)
  } catch (error) {
    if (!(hasServedBefore && error instanceof MonocerosError && error.code === 'ERR_LOG_FILE'))
      throw error
    const log = createLogger({ ...config, errorlog: '-' }, where)
    log.error(error.message)
    return log
  }
}

/** The settings for the engine; the access log of standard output goes to the arbiter's, if the worker's own is captured. */
export function resolveAccessLog(
  { config, capturedOutputFds, hasServedBefore }: BootMessage,
  log: Logger,
): Config {
  const { accesslog } = config
  if (accesslog === '-' && capturedOutputFds !== undefined) {
    return { ...config, accesslog: `fd://${capturedOutputFds.stdout}` }
  }
  if (accesslog === null || accesslog === '-' || !hasServedBefore) return config
  try {
    closeSync(openForAppending(accesslog))
    return config
  } catch (error) {
    log.error(
      monocerosError('ERR_LOG_FILE', 'accesslog', accesslog, errorCode(error) ?? String(error))
        .message,
    )
    return { ...config, accesslog: null }
  }
}
