/** The file of the error log, or standard error: lines of text or pino's JSON on sonic-boom, loaded with the first line. */

import { closeSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Logger as Pino } from 'pino'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { processId, wallClock } from '../process/system.ts'
import { openForAppending } from './append.ts'
import { LEVELS, type LogLevel } from './levels.ts'
import { formatLine, formatRecord, type LogRecord } from './record.ts'
import { describeThrown } from './thrown-value.ts'

export interface LogFileOptions {
  readonly errorlog: string
  readonly error_log_format?: 'text' | 'json'
  readonly chdir: string
}

// Loaded with the first line, and pino only for JSON: an idle worker writes none, and pino is a sixth of an idle Node
// process's memory.
const require = createRequire(import.meta.url)

export class LogFile {
  readonly #options: LogFileOptions
  readonly #stderr: number
  #fd: number
  #write: ((record: LogRecord) => void) | undefined
  #boom: SonicBoom | undefined
  #isFailing = false
  /** Of lines that could not be written. */
  #waitingBytes = 0

  /** Throws ERR_LOG_FILE when it cannot be opened. */
  constructor(options: LogFileOptions, stderr: number) {
    this.#options = options
    this.#stderr = stderr
    this.#fd = openLogTarget(options, stderr)
  }

  write(record: LogRecord): void {
    try {
      this.#write ??= this.#openWriter()
    } catch {
      // Without a free descriptor no module can be loaded: no reason to lose the line, or the process that writes it.
      this.#writeDirectly(formatRecord(record))
      return
    }
    this.#write(record)
  }

  /** A line that a worker has printed. */
  writeWorkerOutput(pid: number, stream: 'stdout' | 'stderr', line: string): void {
    const time = wallClock().toISOString()
    const text = this.#isJson
      ? `${JSON.stringify({ level: 'info', time, pid, stream, msg: line })}\n`
      : formatLine(pid, stream, line)
    if (this.#boom === undefined) this.#writeDirectly(text)
    else this.#writeToBoom(this.#boom, text)
  }

  /** Opens the file by its name again; when that fails it throws and the old one stays. */
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

  /** Once for each time that it begins to fail: on standard error, since there is no other place left. */
  #reportWriteError(problem: string): void {
    const { errorlog } = this.#options
    if (this.#isFailing) return
    this.#isFailing = true
    if (errorlog === '-') return
    const text = `the error log ${errorlog} cannot be written (${problem}); serving goes on`
    try {
      writeSync(this.#stderr, formatLine(processId(), 'error', text))
    } catch {
      // Nobody reads that either.
    }
  }

  #openWriter(): (record: LogRecord) => void {
    const { SonicBoom } = require('sonic-boom') as typeof import('sonic-boom')
    const boom = new SonicBoom({ fd: this.#fd, sync: true })
    // A reader that has gone (EPIPE) or a full disk must not end a server that still serves.
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

  // It keeps what cannot be written and tries again with the next line; where that goes on, lines are lost, not memory.
  #writeToBoom(boom: SonicBoom, text: string): void {
    const isLost = this.#isFailing && this.#waitingBytes + text.length > MAX_WAITING_BYTES
    if (this.#isFailing && !isLost) this.#waitingBytes += text.length
    boom.write(isLost ? '' : text)
  }
}

/** What a disk that is full or a reader that has gone may hold. */
const MAX_WAITING_BYTES = 1024 * 1024

function createJsonWriter(put: (text: string) => void): (record: LogRecord) => void {
  const { pino } = require('pino') as typeof import('pino')
  const log: Pino<LogLevel> = pino<LogLevel>(
    {
      // Who is logged has been decided.
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

/** An error as applications' own pino shows it, without the frames of this program. */
function serializeError(thrown: unknown): object {
  const stack = describeThrown(thrown)
  try {
    if (thrown instanceof Error) {
      return { type: String(thrown.name), message: String(thrown.message), stack }
    }
  } catch {
    // A proxy, or a getter that throws: shown as what is no error.
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
