/**
 * Log lines about a worker whose event loop is blocked, from the report of the watcher in that
 * worker.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { removeOwnFrames } from '../log/thrown-value.ts'
import type { BlockReport, InFlightRequest } from '../messages.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** How long the arbiter waits for a block report. The watcher waits a little less for V8. */
export const BLOCK_REPORT_WAIT_MS = 1_500
/** The same limit after a preliminary report: native code is running, which V8 cannot interrupt. */
export const NATIVE_BLOCK_REPORT_WAIT_MS = 9_000
/**
 * Age at which a report no longer counts: it is about an earlier block that has resolved by itself.
 */
const BLOCK_REPORT_MAX_AGE_MS = 2_000
const MAX_REQUESTS = 10

/** Returns the report of the current block, or undefined if the latest report is too old. */
export function findRecentBlockReport({ blockReport }: WorkerHandle, nowMs: number) {
  if (blockReport === undefined) return undefined
  const freshMs = blockReport.isFinal ? BLOCK_REPORT_MAX_AGE_MS : NATIVE_BLOCK_REPORT_WAIT_MS
  return nowMs - blockReport.atMs > freshMs ? undefined : blockReport
}

/** Logs what blocks the worker and which requests are in flight. */
export function logBlockReport(log: Logger, worker: WorkerHandle, report: BlockReport): void {
  const { stack, systemCall, requests } = report
  if (stack !== null) logLine(log, 'blockedInJavaScript', worker.pid, applicationFrames(stack))
  else if (systemCall !== null) logLine(log, 'blockedInSystemCall', worker.pid, systemCall)
  else logLine(log, 'blockedInNativeCode', worker.pid)
  if (requests.length > 0) logLine(log, 'inFlightRequests', worker.pid, formatRequests(requests))
}

function applicationFrames(stack: string): string {
  // The frames named `<anonymous>` come from the watcher's own code in V8.
  const frames = stack.split('\n').filter((line) => /^\s+at (?!<anonymous>:)/.test(line))
  const own = removeOwnFrames(frames)
  return (own.length > 0 ? own : frames).join('\n')
}

function formatRequests(requests: readonly InFlightRequest[]): string {
  const shown = requests
    .slice(0, MAX_REQUESTS)
    .map(({ request, ageMs }) => `${request} for ${Math.round(ageMs / 100) / 10}s`)
  const more = requests.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
