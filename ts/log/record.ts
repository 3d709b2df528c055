/** One event of the error log, and its two forms. */

import { processId } from '../process/system.ts'
import type { LogLevel } from './levels.ts'
import { describeThrown } from './thrown-value.ts'
import { formatLogTime } from './time.ts'

export interface LogRecord {
  readonly level: LogLevel
  readonly message: string
  /** What an application threw. */
  readonly thrown?: unknown
}

/** The message, and below it what was thrown. */
export function formatMessage({ message, thrown }: LogRecord): string {
  return thrown === undefined ? message : `${message}\n${describeThrown(thrown)}`
}

/** Gunicorn's line. */
export function formatRecord(record: LogRecord): string {
  return formatLine(processId(), record.level, formatMessage(record))
}

export function formatLine(pid: number, label: string, text: string): string {
  return `[${formatLogTime()}] [${pid}] [${label.toUpperCase()}] ${text}\n`
}
