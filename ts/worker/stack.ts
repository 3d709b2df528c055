/**
 * The stack of whatever runs below this call. The watcher has it called while the event loop is blocked, on top of what
 * blocks it, so nothing here may wait, throw or rely on what an application can change.
 */

import { mapStack } from './source-map.ts'

/** One write to a socket pair is not mixed with another's when it is this short. */
export const MAX_STACK_CHARS = 12_000
export const MAX_FRAMES = 50

// As it is before the application is loaded.
const { captureStackTrace } = Error
const settings: { stackTraceLimit: number; prepareStackTrace?: unknown } = Error

/** The frames below this one, in the places of the sources that were written. */
export function captureCallerStack(): string {
  // The limit and the formatter belong to the application and are put back.
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
