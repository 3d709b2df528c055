/**
 * Everything that can happen to a worker, as one queue. Handlers of signals, messages and timers
 * only push a notice; one loop takes the notices in order.
 */

import type { Target } from '../engine/engine.ts'
import type { MonocerosError } from '../errors.ts'
import type {
  ArbiterMessage,
  DiagnoseMessage,
  LeadMessage,
  MonitoringMessage,
} from '../messages.ts'
import type { SignalName } from '../signals.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { LifecycleEvent } from './states.ts'

/**
 * An event of the lifecycle table with its details; the arbiter's messages are notices as they are.
 */
export type Notice =
  | Exclude<ArbiterMessage, DiagnoseMessage | LeadMessage | MonitoringMessage>
  | ReadyNotice
  | { readonly type: 'failed'; readonly error: MonocerosError }
  | { readonly type: 'drain' | 'quit'; readonly signal: SignalName }
  /** `status` is the exit status of the process. */
  | {
      readonly type: 'abort' | 'crash' | 'exitHookDone' | 'failureSent'
      readonly status: number
    }
  | { readonly type: PlainEvent }

/** The engine serves `target`; `heartbeat` takes the watcher as an observer. */
export interface ReadyNotice {
  readonly type: 'ready'
  readonly target: Target
  readonly heartbeat: Heartbeat
}

type PlainEvent = Extract<
  LifecycleEvent,
  | 'engineCreated'
  | 'orphaned'
  | 'drained'
  | 'overdue'
  | 'uncaught'
  | 'serverClosed'
  | 'serverListening'
>

/**
 * A queue that runs to completion: a notice is handled before `push` returns, unless another one is
 * being handled, which is finished first. The order is that of `push`; nothing waits for a later
 * turn of the event loop, because a listener of the application may end the process in the same
 * turn (SIGTERM).
 */
export class NoticeQueue {
  readonly #notices: Notice[] = []
  readonly #handle: (notice: Notice) => void
  #isRunning = false

  constructor(handle: (notice: Notice) => void) {
    this.#handle = handle
  }

  push(notice: Notice): void {
    this.#notices.push(notice)
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      for (let next = this.#notices.shift(); next !== undefined; next = this.#notices.shift()) {
        this.#handle(next)
      }
    } finally {
      this.#isRunning = false
    }
  }
}
