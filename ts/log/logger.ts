/**
 * The error log: pino on sonic-boom, one line in Gunicorn's form for each event,
 * `[2026-11-24 14:00:00 +0000] [pid] [INFO] message`. The arbiter and each worker have one and append to the same
 * file. Lines are written synchronously: they are few, and the last ones before an exit are those that matter.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Logger as Pino } from 'pino'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { processId } from '../process/system.ts'
import { describeThrown } from './thrown.ts'
import { formatLogTime } from './time.ts'

/** From the least to the most urgent; the numbers are pino's, spread as Python's logging has them. */
export const LEVELS = { debug: 10, info: 20, warning: 30, error: 40, critical: 50 } as const

export type LogLevel = keyof typeof LEVELS

export interface LogOptions {
  /** A path, or `-` for standard error. */
  readonly errorlog: string
  readonly loglevel: LogLevel
  /** What a relative path is relative to. */
  readonly chdir: string
}

export interface Logger {
  debug(message: string): void
  info(message: string): void
  warning(message: string): void
  error(message: string): void
  critical(message: string): void
  /** An error line, followed by the stack of what was thrown. */
  exception(message: string, thrown: unknown): void
  /** Takes a new target and level; when the target cannot be opened it throws and the old one stays. */
  configure(options: LogOptions): void
  /** Opens the file by its name again, after it was moved; when that fails it throws and the old one stays. */
  reopen(): void
}

/** Opens the error log; throws ERR_LOG_FILE when it cannot be written. */
export function createLogger(options: LogOptions): Logger {
  return new ErrorLog(options)
}

const STDERR_FD = 2

// Loaded with the first line: an idle worker writes none, and pino is a sixth of an idle Node process's memory.
const require = createRequire(import.meta.url)

class ErrorLog implements Logger {
  #options: LogOptions
  #fd: number
  #pino: Pino<LogLevel> | undefined
  #boom: SonicBoom | undefined
  #failing = false

  constructor(options: LogOptions) {
    this.#options = options
    this.#fd = openTarget(options)
  }

  debug(message: string): void {
    this.#write('debug', message)
  }

  info(message: string): void {
    this.#write('info', message)
  }

  warning(message: string): void {
    this.#write('warning', message)
  }

  error(message: string): void {
    this.#write('error', message)
  }

  critical(message: string): void {
    this.#write('critical', message)
  }

  exception(message: string, thrown: unknown): void {
    this.#write('error', message, thrown)
  }

  configure(options: LogOptions): void {
    const fd = openTarget(options)
    if (this.#boom !== undefined && this.#fd !== STDERR_FD) this.#boom.end()
    else if (this.#fd !== STDERR_FD) closeSync(this.#fd)
    this.#options = options
    this.#fd = fd
    this.#boom = undefined
    this.#pino = undefined
  }

  reopen(): void {
    this.configure(this.#options)
  }

  #write(level: LogLevel, message: string, thrown?: unknown): void {
    if (LEVELS[level] < LEVELS[this.#options.loglevel]) return
    try {
      this.#pino ??= this.#open()
    } catch {
      // Without a free descriptor no module can be loaded: no reason to lose the line, or the process that writes it.
      this.#writePlainly(lineOf(level, message, thrown))
      return
    }
    if (thrown === undefined) this.#pino[level](message)
    else this.#pino[level]({ err: thrown }, message)
  }

  #writePlainly(line: string): void {
    try {
      writeSync(this.#fd, line)
    } catch (cause) {
      this.#complain(cause instanceof Error ? cause.message : String(cause))
    }
  }

  /** Once for each time that it begins to fail: on standard error, since there is no other place left. */
  #complain(problem: string): void {
    const { errorlog } = this.#options
    if (this.#failing || errorlog === '-') return
    this.#failing = true
    const text = `[ERROR] the error log ${errorlog} cannot be written (${problem}); serving goes on`
    try {
      writeSync(STDERR_FD, `[${formatLogTime()}] [${processId()}] ${text}\n`)
    } catch {
      // Nobody reads that either.
    }
  }

  #open(): Pino<LogLevel> {
    const { pino } = require('pino') as typeof import('pino')
    const { SonicBoom } = require('sonic-boom') as typeof import('sonic-boom')
    const boom = new SonicBoom({ fd: this.#fd, sync: true })
    // A reader that has gone (EPIPE) or a full disk must not end a server that still serves.
    boom.on('error', (error: Error) => this.#complain(error.message))
    boom.on('drain', () => {
      this.#failing = false
    })
    this.#boom = boom
    return pino<LogLevel>(
      {
        level: this.#options.loglevel,
        customLevels: LEVELS,
        useOnlyCustomLevels: true,
        base: null,
      },
      textStream(boom),
    )
  }
}

/** What pino fills in before each write, when a stream carries its metadata symbol. */
interface TextStream {
  lastLevel: number
  lastMsg: string
  lastObj: { err?: unknown } | null
  write(json: string): void
}

function textStream(boom: SonicBoom): TextStream {
  const stream: TextStream = {
    lastLevel: 0,
    lastMsg: '',
    lastObj: null,
    write() {
      const level = LEVEL_NAMES.get(stream.lastLevel) ?? 'info'
      boom.write(lineOf(level, stream.lastMsg, stream.lastObj?.err))
    },
  }
  return Object.assign(stream, { [Symbol.for('pino.metadata')]: true })
}

const LEVEL_NAMES = new Map<number, string>(
  Object.entries(LEVELS).map(([name, number]) => [number, name]),
)

function lineOf(level: string, message: string, thrown: unknown): string {
  const line = `[${formatLogTime()}] [${processId()}] [${level.toUpperCase()}] ${message}\n`
  return thrown === undefined ? line : `${line}${describeThrown(thrown)}\n`
}

function openTarget({ errorlog, chdir }: LogOptions): number {
  if (errorlog === '-') return STDERR_FD
  const path = resolve(chdir, errorlog)
  try {
    return openSync(path, 'a', 0o644)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_FILE', 'errorlog', path, problem).causedBy(cause)
  }
}
