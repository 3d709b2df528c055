/**
 * The stack trace of the code that blocks the event loop. The watcher interrupts that code with a
 * call of this function, so nothing here may wait, throw or use what an application can change.
 */

import { mapStack } from './source-map.ts'

/** A write of this size to a socket pair is not interleaved with another one. */
export const MAX_STACK_CHARS = 12_000
/** Number of stack frames in a block report. */
export const MAX_FRAMES = 50

// Taken before the application is loaded, which may replace it.
const { captureStackTrace } = Error
const settings: { stackTraceLimit: number; prepareStackTrace?: unknown } = Error

/** Captures the frames of the caller, with the positions in the original sources. */
export function captureCallerStack(): string {
  // The limit and the formatter belong to the application and are restored.
  const { stackTraceLimit, prepareStackTrace } = settings
  try {
    settings.stackTraceLimit = MAX_FRAMES
    settings.prepareStackTrace = undefined
    const at: { stack?: string } = {}
    captureStackTrace(at, captureCallerStack)
    return mapStack(at.stack ?? '').slice(0, MAX_STACK_CHARS)
  } finally {
    settings.stackTraceLimit = stackTraceLimit
    settings.prepareStackTrace = prepareStackTrace
  }
}
