/** The two forms of the time in logs: the error log's and the access log's. Both are local time with its offset. */

import { wallClock } from '../process/system.ts'

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** `2026-11-24 14:00:00 +0000`. */
export function formatLogTime(date: Date = wallClock()): string {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${timeOfDay(date)} ${offset(date)}`
}

/** `24/Nov/2026:14:00:00 +0000`, as in the common log format. */
export function formatAccessTime(date: Date = wallClock()): string {
  const day = `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`
  return `${day}:${timeOfDay(date)} ${offset(date)}`
}

function timeOfDay(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
