/**
 * The watcher's thread where the addon has none. It waits for the next beat; when none comes for `timeout` it tells the
 * arbiter, by the channel and past the blocked thread, the JavaScript stack of that thread. The inspector's session is
 * opened only then and closed after.
 */

import { writeSync } from 'node:fs'
import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'

import { CHANNEL_FD, encodeMessage, type WorkerMessage } from '../messages.ts'
import { mapStack } from './source-map.ts'
import { MAX_FRAMES, MAX_STACK_CHARS } from './stack.ts'
import type { WatcherThreadData } from './watcher.ts'

const { beats, timeoutMs } = workerData as WatcherThreadData
const counter = new Int32Array(beats)

/** A stack comes within milliseconds; a thread that has not answered for this long does not run JavaScript. */
const STACK_WAIT_MS = 400
/** Native code that V8 does not interrupt (JSON.parse of a text as long as texts can be) ends within this time. */
const NATIVE_WAIT_MS = 8_000

// Runs on the blocked thread, on top of what blocks it: its own stack is therefore the one that is looked for.
// The limit and the formatter belong to the application and are put back.
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
  // The first beat may be long in coming: nothing is expected before it.
  if (seen === 0) Atomics.wait(counter, 0, 0)
  for (;;) {
    const outcome = Atomics.wait(counter, 0, seen, timeoutMs)
    const now = Atomics.load(counter, 0)
    if (outcome === 'timed-out' && now === seen) {
      await report()
      // One report a blockade.
      Atomics.wait(counter, 0, seen)
    }
    seen = Atomics.load(counter, 0)
  }
}

async function report(): Promise<void> {
  const session = new Session()
  session.connectToMainThread()
  const answer = requestStack(session)
  const found = { systemCall: null, requests: [] }
  let stack = await waitAtMost(STACK_WAIT_MS, answer)
  if (stack === undefined) {
    send({ type: 'blocked', isFinal: false, stack: null, ...found })
    stack = await waitAtMost(NATIVE_WAIT_MS, answer)
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

// The timer also keeps this thread's loop turning, which the inspector's answer needs.
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
    // The arbiter has gone, or reads nothing any more: nobody is there to be told.
  }
}
