/**
 * The error log: one line in Gunicorn's format for each event, `[2026-11-24 14:00:00 +0000] [pid]
 * [INFO] message`, or one JSON object. It is written to a file and optionally to syslog. The
 * arbiter and each worker append to the same file. Lines are written synchronously: they are few,
 * and the last ones before an exit matter most.
 */

import { resolve } from 'node:path'

import { type CustomLogger, createCustomLogger } from './custom.ts'
import { LEVELS, type LogLevel } from './levels.ts'
import { LogFile } from './log-file.ts'
import type { RecentLines } from './recent-lines.ts'
import { formatLine, formatMessage, formatRecord } from './record.ts'
import { resolveStatsdTarget, StatsdClient, type StatsdOptions } from './statsd.ts'
import { SyslogClient, type SyslogOptions } from './syslog.ts'
import { describeThrown } from './thrown-value.ts'

export { LEVELS, type LogLevel } from './levels.ts'

/** Settings of the error log. */
export interface LogOptions extends Partial<SyslogOptions>, Partial<StatsdOptions> {
  /** A path, or `-` for standard error. */
  readonly errorlog: string
  readonly loglevel: LogLevel
  readonly error_log_format?: 'text' | 'json'
  /** Directory to which a relative path is resolved. */
  readonly chdir: string
}

/** Stream on which a worker has printed a line. */
export type OutputStream = 'stdout' | 'stderr'

/** The error log. Hooks receive it as `log`. */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  warning(message: string): void
  error(message: string): void
  critical(message: string): void
  /** Logs an error, followed by the stack of the thrown value. */
  exception(message: string, thrown: unknown): void
  /** Logs a line that a worker has printed, at any level. */
  output(pid: number, stream: OutputStream, line: string): void
  /**
   * Switches to another target and level. If the target cannot be opened it throws, and the current
   * one stays.
   */
  configure(options: LogOptions): void
  /**
   * Opens the file by its name again, after it was moved. If that fails it throws, and the open
   * file stays in use.
   */
  reopen(): void
  /** Absolute path of the log file; undefined if lines are written elsewhere. */
  readonly path?: string | undefined
}

const STDERR_FD = 2

/**
 * Opens the error log; throws ERR_LOG_FILE if it cannot be written. `stderr` is the descriptor used
 * for standard error, `recent` keeps the latest lines.
 */
export function createLogger(
  options: LogOptions,
  { stderr = STDERR_FD, recent }: { stderr?: number; recent?: RecentLines } = {},
): Logger {
  return new ErrorLog(options, { stderr, recent })
}

/** Where lines are written. */
interface LogTargets {
  readonly file: LogFile
  readonly syslog: SyslogClient | undefined
  readonly statsd: StatsdClient | undefined
  readonly custom: CustomLogger | undefined
}

class ErrorLog implements Logger {
  readonly #stderr: number
  readonly #recent: RecentLines | undefined
  #options: LogOptions
  #targets: LogTargets

  constructor(
    options: LogOptions,
    { stderr, recent }: { stderr: number; recent: RecentLines | undefined },
  ) {
    this.#stderr = stderr
    this.#recent = recent
    this.#options = options
    this.#targets = openTargets(options, stderr)
  }

  debug(message: string): void {
    this.#write('debug', message)
  }

  info(message: string): void {
    this.#write('info', message)
  }

  warning(message: string): void {
    this.#targets.statsd?.increment('gunicorn.log.warning')
    this.#write('warning', message)
  }

  error(message: string): void {
    this.#targets.statsd?.increment('gunicorn.log.error')
    this.#write('error', message)
  }

  critical(message: string): void {
    this.#targets.statsd?.increment('gunicorn.log.critical')
    this.#write('critical', message)
  }

  exception(message: string, thrown: unknown): void {
    this.#targets.statsd?.increment('gunicorn.log.exception')
    // `Promise.reject()` rejects with undefined, which the line must name.
    const text = thrown === undefined ? `${message}\n${describeThrown(thrown)}` : message
    this.#write('error', text, thrown)
  }

  output(pid: number, stream: OutputStream, line: string): void {
    const { file, syslog, custom } = this.#targets
    const level = stream === 'stdout' ? 'info' : 'warning'
    if (custom?.write({ level, message: line, pid, stream }) !== true)
      file.writeWorkerOutput(pid, stream, line)
    syslog?.send(level, line, pid)
    this.#recent?.push(formatLine(pid, stream, line))
  }

  get path(): string | undefined {
    const { errorlog, chdir } = this.#options
    const isFile = errorlog !== '-' && this.#targets.custom === undefined
    return isFile ? resolve(chdir, errorlog) : undefined
  }

  configure(options: LogOptions): void {
    const next = openTargets(options, this.#stderr)
    closeTargets(this.#targets)
    this.#options = options
    this.#targets = next
  }

  reopen(): void {
    this.#targets.custom?.reopen()
    this.#targets.file.reopen()
  }

  #write(level: LogLevel, message: string, thrown?: unknown): void {
    if (LEVELS[level] < LEVELS[this.#options.loglevel]) return
    const { file, syslog, custom } = this.#targets
    if (custom?.write({ level, message, thrown }) !== true) file.write({ level, message, thrown })
    syslog?.send(level, formatMessage({ level, message, thrown }))
    this.#recent?.push(formatRecord({ level, message, thrown }))
  }
}

function openTargets(options: LogOptions, stderr: number): LogTargets {
  const target = resolveStatsdTarget(options)
  return {
    file: new LogFile(options, stderr),
    syslog: hasSyslog(options) ? new SyslogClient(options) : undefined,
    statsd: target === undefined ? undefined : new StatsdClient(target),
    custom: createCustomLogger(options),
  }
}

function hasSyslog(options: LogOptions): options is LogOptions & SyslogOptions {
  return options.syslog === true
}

function closeTargets({ file, syslog, statsd }: LogTargets): void {
  file.close()
  syslog?.close()
  statsd?.close()
}
