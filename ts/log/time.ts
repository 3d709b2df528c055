/**
 * Formats of the time in the error log and the access log. Both show local time with its offset.
 */

import { currentDate } from '../process/system.ts'

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** Formats a date as `2026-11-24 14:00:00 +0000`. */
export function formatLogTime(date: Date = currentDate()): string {
  const day = `${date.getFullYear()}-${padTwo(date.getMonth() + 1)}-${padTwo(date.getDate())}`
  return `${day} ${formatTimeOfDay(date)} ${formatOffset(date)}`
}

/** Formats a date as `24/Nov/2026:14:00:00 +0000` (common log format). */
export function formatAccessTime(date: Date = currentDate()): string {
  const day = `${padTwo(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`
  return `${day}:${formatTimeOfDay(date)} ${formatOffset(date)}`
}

function formatTimeOfDay(date: Date): string {
  return `${padTwo(date.getHours())}:${padTwo(date.getMinutes())}:${padTwo(date.getSeconds())}`
}

function formatOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${padTwo(Math.floor(size / 60))}${padTwo(size % 60)}`
}

function padTwo(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
