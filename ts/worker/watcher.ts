/**
 * The watcher: a thread that notices when the event loop is blocked and reports why. It never stops
 * the worker; the arbiter does. The addon's thread costs a few pages of memory. Without the addon,
 * or where it cannot interrupt V8, the thread runs JavaScript (`watcher-thread.ts`): that costs ten
 * megabytes and cannot name the system call.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { CHANNEL_FD } from '../messages.ts'
import { native } from '../native/index.ts'
import { captureCallerStack } from './stack.ts'

/** The `workerData` of the JavaScript thread. */
export interface WatcherThreadData {
  /** One Int32 that counts the beats of the event loop. */
  readonly beats: SharedArrayBuffer
  readonly timeoutMs: number
}

/** A running watcher, which expects regular beats. */
export interface EventLoopWatcher {
  /** Reports that the event loop turns. */
  beat(): void
}

// Limits, not reservations. The small young generation saves most of the memory.
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 }

/**
 * Starts the thread; none is started where `timeoutMs` is 0, since the arbiter ignores its report.
 */
export function startWatcher(log: Logger, timeoutMs: number): EventLoopWatcher {
  if (timeoutMs === 0) return { beat() {} }
  const watcher = native?.Watcher.start(timeoutMs, CHANNEL_FD, captureCallerStack)
  if (watcher == null) return startThread(log, timeoutMs)
  logLine(log, 'blockWatcherStarted')
  return watcher
}

function startThread(log: Logger, timeoutMs: number): EventLoopWatcher {
  const fromSources = import.meta.url.endsWith('.ts')
  const beats = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const counter = new Int32Array(beats)
  const data: WatcherThreadData = { beats, timeoutMs }
  // Loaded only here: keeps an idle worker small.
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const thread = new Worker(
    new URL(`../worker/watcher-thread.${fromSources ? 'ts' : 'js'}`, import.meta.url),
    {
      workerData: data,
      // Keeps out what NODE_OPTIONS and the arguments preload for the application (tracers,
      // loaders).
      env: {},
      execArgv: fromSources ? process.execArgv : [],
      trackUnmanagedFds: false,
      resourceLimits: RESOURCE_LIMITS,
    },
  )
  thread.unref()
  thread.on('online', () => logLine(log, 'blockWatcherStarted'))
  thread.on('error', (error) => logLine(log, 'blockWatcherFailed', error.message))
  return {
    beat() {
      Atomics.add(counter, 0, 1)
      Atomics.notify(counter, 0)
    },
  }
}
