/**
 * The watcher's thread without the addon. If no beat arrives for `timeout`, it sends the JavaScript
 * stack of the blocked main thread to the arbiter, on the channel of the worker. Only for that time
 * is an inspector session open.
 */

import { writeSync } from 'node:fs'
import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'

import { CHANNEL_FD, encodeMessage, type WorkerMessage } from '../messages.ts'
import { mapStack } from './source-map.ts'
import { MAX_FRAMES, MAX_STACK_CHARS } from './stack.ts'
import type { WatcherThreadData } from './watcher.ts'

const data: WatcherThreadData = workerData
const { beats, timeoutMs } = data
const counter = new Int32Array(beats)

/**
 * Time after which the main thread is taken to run no JavaScript: the inspector returns a stack
 * within milliseconds.
 */
const STACK_WAIT_MS = 400
/**
 * Time limit for native code that V8 cannot interrupt: `JSON.parse` of the longest possible string
 * takes less.
 */
const NATIVE_WAIT_MS = 8_000

// Runs on the blocked thread, on top of the code that blocks it, so its own stack is the wanted
// one. The limit and the formatter belong to the application and are restored.
const CAPTURE_STACK_SCRIPT = `(() => {
  const { stackTraceLimit, prepareStackTrace } = Error
  Error.stackTraceLimit = ${MAX_FRAMES}
  Error.prepareStackTrace = undefined
  try {
    const at = {}
    Error.captureStackTrace(at)
    return at.stack
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Error.prepareStackTrace = prepareStackTrace
  }
})()`

await watch()

async function watch(): Promise<never> {
  let seen = Atomics.load(counter, 0)
  // Waits without limit for the first beat: the worker may still boot.
  if (seen === 0) Atomics.wait(counter, 0, 0)
  for (;;) {
    const outcome = Atomics.wait(counter, 0, seen, timeoutMs)
    const now = Atomics.load(counter, 0)
    if (outcome === 'timed-out' && now === seen) {
      await report()
      // One report for each blocked period: waits for the next beat.
      Atomics.wait(counter, 0, seen)
    }
    seen = Atomics.load(counter, 0)
  }
}

async function report(): Promise<void> {
  const session = new Session()
  session.connectToMainThread()
  const pendingStack = requestStack(session)
  const found = { systemCall: null, requests: [] }
  let stack = await waitAtMost(STACK_WAIT_MS, pendingStack)
  if (stack === undefined) {
    send({ type: 'blocked', isFinal: false, stack: null, ...found })
    stack = await waitAtMost(NATIVE_WAIT_MS, pendingStack)
  }
  const mapped = stack === undefined ? null : mapStack(stack).slice(0, MAX_STACK_CHARS)
  send({ type: 'blocked', isFinal: true, stack: mapped, ...found })
  session.disconnect()
}

interface EvaluateReply {
  readonly result?: { readonly value?: unknown }
}

function requestStack(session: Session): Promise<string | undefined> {
  return new Promise((done) => {
    const parameters = { expression: CAPTURE_STACK_SCRIPT, returnByValue: true, silent: true }
    session.post('Runtime.evaluate', parameters, (_error, reply: EvaluateReply | undefined) => {
      const value = reply?.result?.value
      done(typeof value === 'string' ? value : undefined)
    })
  })
}

// The timer also keeps the event loop of this thread running, which the inspector's reply needs.
function waitAtMost<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((done) => {
    const timer = setTimeout(() => done(undefined), limitMs)
    void promise.then((value) => {
      clearTimeout(timer)
      done(value)
    })
  })
}

function send(message: WorkerMessage): void {
  try {
    writeSync(CHANNEL_FD, encodeMessage(message))
  } catch {
    // The arbiter is dead or no longer reads, so the report has no reader.
  }
}
