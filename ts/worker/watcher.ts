/**
 * The watcher: a thread that stands by the event loop and notices when it is blocked. It never serves and never ends
 * the worker: the arbiter does. The addon's costs some pages of memory; where there is none, or V8 cannot be asked by
 * it, the thread is one of JavaScript (`watcher-thread.ts`), which costs ten megabytes and cannot name a system call.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { CHANNEL_FD } from '../messages.ts'
import { native } from '../native/index.ts'
import { captureCallerStack } from './stack.ts'

/** What the thread of JavaScript starts with. */
export interface WatcherThreadData {
  /** Counts the beats of the event loop. */
  readonly beats: SharedArrayBuffer
  readonly timeoutMs: number
}

export interface EventLoopWatcher {
  /** The event loop turns. */
  beat(): void
}

// Limits, not reservations: a young generation this small is most of what keeps the thread small.
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 }

/** Starts the thread; without a timeout nobody would act on what it finds, so there is none. */
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
  // Loaded only where it is used: an idle worker is small.
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const thread = new Worker(
    new URL(`../worker/watcher-thread.${fromSources ? 'ts' : 'js'}`, import.meta.url),
    {
      workerData: data,
      // What is preloaded for the application (tracers, loaders) is not for this thread.
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
