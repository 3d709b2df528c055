/** One event of the error log, and its text formats. */

import { processId } from '../process/system.ts'
import type { LogLevel } from './levels.ts'
import { describeThrown } from './thrown-value.ts'
import { formatLogTime } from './time.ts'

/** One event of the error log. */
export interface LogRecord {
  readonly level: LogLevel
  readonly message: string
  /** Value that an application threw. */
  readonly thrown?: unknown
}

/** Returns the message, followed by the description of the thrown value. */
export function formatMessage({ message, thrown }: LogRecord): string {
  return thrown === undefined ? message : `${message}\n${describeThrown(thrown)}`
}

/** Formats an event as a line of Gunicorn's log. */
export function formatRecord(record: LogRecord): string {
  return formatLine(processId(), record.level, formatMessage(record))
}

/** Formats a line of Gunicorn's log: `[time] [pid] [LABEL] text`. */
export function formatLine(pid: number, label: string, text: string): string {
  return `[${formatLogTime()}] [${pid}] [${label.toUpperCase()}] ${text}\n`
}
