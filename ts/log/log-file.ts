/**
 * File of the error log, or standard error. It writes lines of text, or JSON by pino, with
 * sonic-boom.
 */

import { closeSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Logger as Pino } from 'pino'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { currentDate, processId } from '../process/system.ts'
import { openForAppending } from './append.ts'
import { LEVELS, type LogLevel } from './levels.ts'
import { formatLine, formatRecord, type LogRecord } from './record.ts'
import { describeThrown } from './thrown-value.ts'

/** Settings of the log file. */
export interface LogFileOptions {
  readonly errorlog: string
  readonly error_log_format?: 'text' | 'json'
  readonly chdir: string
}

// sonic-boom is loaded with the first line, and pino only for JSON. An idle worker writes no line,
// and pino uses a sixth of the memory of an idle Node process.
const require = createRequire(import.meta.url)

/** The open file of the error log. */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #stderr: number
  #fd: number
  #write: ((record: LogRecord) => void) | undefined
  #boom: SonicBoom | undefined
  #isFailing = false
  /** Size of the lines that could not be written and are kept. */
  #waitingBytes = 0

  /** Opens the file; throws ERR_LOG_FILE if that fails. */
  constructor(options: LogFileOptions, stderr: number) {
    this.#options = options
    this.#stderr = stderr
    this.#fd = openLogTarget(options, stderr)
  }

  write(record: LogRecord): void {
    try {
      this.#write ??= this.#openWriter()
    } catch {
      // Without a free descriptor no module can be loaded. The line is still written, and the
      // process stays alive.
      this.#writeDirectly(formatRecord(record))
      return
    }
    this.#write(record)
  }

  /** Writes a line that a worker has printed. */
  writeWorkerOutput(pid: number, stream: 'stdout' | 'stderr', line: string): void {
    const time = currentDate().toISOString()
    const text = this.#isJson
      ? `${JSON.stringify({ level: 'info', time, pid, stream, msg: line })}\n`
      : formatLine(pid, stream, line)
    if (this.#boom === undefined) this.#writeDirectly(text)
    else this.#writeToBoom(this.#boom, text)
  }

  /** Opens the file by its name again. If that fails it throws, and the open file stays in use. */
  reopen(): void {
    const fd = openLogTarget(this.#options, this.#stderr)
    this.close()
    this.#fd = fd
    this.#boom = undefined
    this.#write = undefined
    this.#waitingBytes = 0
  }

  close(): void {
    if (this.#fd === this.#stderr) return
    if (this.#boom !== undefined) this.#boom.end()
    else closeSync(this.#fd)
  }

  get #isJson(): boolean {
    return this.#options.error_log_format === 'json'
  }

  #writeDirectly(line: string): void {
    try {
      writeSync(this.#fd, line)
    } catch (cause) {
      this.#reportWriteError(cause instanceof Error ? cause.message : String(cause))
    }
  }

  /** Reports a write error on standard error, once each time that writing begins to fail. */
  #reportWriteError(problem: string): void {
    const { errorlog } = this.#options
    if (this.#isFailing) return
    this.#isFailing = true
    if (errorlog === '-') return
    const what = `the error log ${errorlog} cannot be written (${problem})`
    const text = `${what}; the server keeps running`
    try {
      writeSync(this.#stderr, formatLine(processId(), 'error', text))
    } catch {
      // Standard error cannot be written either, and no other target is left.
    }
  }

  #openWriter(): (record: LogRecord) => void {
    const { SonicBoom }: typeof import('sonic-boom') = require('sonic-boom')
    const boom = new SonicBoom({ fd: this.#fd, sync: true })
    // A reader that has closed the pipe (EPIPE) or a full disk must not stop a server that is
    // serving.
    boom.on('error', (error: Error) => this.#reportWriteError(error.message))
    boom.on('drain', () => {
      this.#isFailing = false
      this.#waitingBytes = 0
    })
    const put = (text: string) => this.#writeToBoom(boom, text)
    const write = this.#isJson
      ? createJsonWriter(put)
      : (record: LogRecord) => put(formatRecord(record))
    this.#boom = boom
    return write
  }

  // sonic-boom keeps a line that it cannot write, and tries again with the next one. Beyond the
  // limit, lines are dropped.
  #writeToBoom(boom: SonicBoom, text: string): void {
    const isLost = this.#isFailing && this.#waitingBytes + text.length > MAX_WAITING_BYTES
    if (this.#isFailing && !isLost) this.#waitingBytes += text.length
    boom.write(isLost ? '' : text)
  }
}

/** Maximum size of the lines kept for a full disk or a pipe without a reader. */
const MAX_WAITING_BYTES = 1024 * 1024

function createJsonWriter(put: (text: string) => void): (record: LogRecord) => void {
  const { pino }: typeof import('pino') = require('pino')
  const log: Pino<LogLevel> = pino<LogLevel>(
    {
      // `ErrorLog` has already filtered by level.
      level: 'debug',
      customLevels: LEVELS,
      useOnlyCustomLevels: true,
      ...jsonOptions(pino),
    },
    { write: put },
  )
  return ({ level, message, thrown }) => {
    if (thrown === undefined) log[level](message)
    else log[level]({ err: thrown }, message)
  }
}

function jsonOptions({ stdTimeFunctions }: typeof import('pino').pino) {
  return {
    base: { pid: processId() },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
    serializers: { err: serializeError },
  }
}

/** Converts an error as the applications' own pino does, without the frames of this program. */
function serializeError(thrown: unknown): object {
  const stack = describeThrown(thrown)
  try {
    if (thrown instanceof Error) {
      return { type: String(thrown.name), message: String(thrown.message), stack }
    }
  } catch {
    // A proxy, or a getter that throws: logged as a value that is not an error.
  }
  return { type: typeof thrown, message: stack, stack }
}

function openLogTarget({ errorlog, chdir }: LogFileOptions, stderr: number): number {
  if (errorlog === '-') return stderr
  const path = resolve(chdir, errorlog)
  try {
    return openForAppending(path)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_FILE', 'errorlog', path, problem).withCause(cause)
  }
}
