/**
 * The logs of a worker. A worker that replaces another one serves even if a log file can no longer
 * be opened, because its directory was removed for example. Otherwise the loss of a log directory
 * would, worker by worker, stop the whole server.
 */

import { closeSync } from 'node:fs'

import { MonocerosError, monocerosError } from '../errors.ts'
import { openForAppending } from '../log/append.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import type { BootMessage } from '../messages.ts'
import { errorCode } from '../process/system.ts'
import type { Config } from '../settings/config.ts'

/** Opens the error log; a replacement worker falls back to standard error if the file fails. */
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

/**
 * Returns the settings with the access log that the engine can open. `-` becomes the arbiter's
 * standard output if the worker's own is captured. A replacement worker serves without an access
 * log if the file fails.
 */
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
