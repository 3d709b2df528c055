/**
 * Everything that can happen to the arbiter, as one queue. Callbacks only push an event; the loop
 * takes one event at a time.
 */

import type { ControlCall } from '../control/protocol.ts'
import type { SuccessorMessage, WorkerMessage } from '../messages.ts'
import type { ChildExit, System } from '../process/system.ts'
import { ARBITER_SIGNALS, type ArbiterRole, SIGNALS, type SignalName } from '../signals.ts'
import type { Generation } from './generation.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** One event of the loop in `arbiter.ts`. */
export type ArbiterEvent =
  | { readonly type: 'signal'; readonly signal: SignalName }
  /** The addresses of the first generation, or of a reload, are open. */
  | {
      readonly type: 'generationOpened'
      readonly generation: Generation
      readonly warnings: readonly string[]
    }
  /** The settings could not be read, or an address could not be opened. */
  | { readonly type: 'generationFailed'; readonly error: unknown }
  /** The hook `when_ready` has returned: workers may start. */
  | { readonly type: 'startHooksDone' }
  | {
      readonly type: 'workerMessage'
      readonly worker: WorkerHandle
      readonly message: WorkerMessage
    }
  | { readonly type: 'workerExit'; readonly worker: WorkerHandle; readonly exit: ChildExit }
  /** A message from the arbiter that an upgrade has started, or from the one that started this. */
  | { readonly type: 'peerMessage'; readonly message: SuccessorMessage }
  | { readonly type: 'successorExit'; readonly pid: number; readonly exit: ChildExit }
  /** The arbiter that has started this one has exited. */
  | { readonly type: 'predecessorExit' }
  /** Files of the application or the config file have changed (setting `reload`). */
  | { readonly type: 'filesChanged'; readonly files: readonly string[] }
  /** A command has arrived at the control socket. */
  | { readonly type: 'command'; readonly call: ControlCall }
  /** A second has passed, or a deadline is due. */
  | { readonly type: 'tick' }

/** The queue between callbacks and the loop in `arbiter.ts`. */
export class EventQueue {
  readonly #events: ArbiterEvent[] = []
  #waiters: (() => void)[] = []

  push(event: ArbiterEvent): void {
    this.#events.push(event)
    const waiting = this.#waiters
    this.#waiters = []
    for (const wake of waiting) wake()
  }

  /** Pushes each signal as an event until the returned function is called. */
  subscribeToSignals(system: System): () => void {
    const unsubscribers = ARBITER_SIGNALS.map((signal) =>
      system.onSignal(signal, () => this.push({ type: 'signal', signal })),
    )
    return () => {
      for (const unsubscribe of unsubscribers) unsubscribe()
    }
  }

  /** Resolves when a signal with one of these roles has arrived. The event stays in the queue. */
  async waitForSignal(...roles: readonly ArbiterRole[]): Promise<void> {
    const isAsked = () =>
      this.#events.some(
        (event) => event.type === 'signal' && roles.includes(SIGNALS[event.signal].arbiter),
      )
    while (!isAsked()) await this.#nextPush()
  }

  /** Resolves to the oldest event, once there is one. */
  async take(): Promise<ArbiterEvent> {
    for (;;) {
      const event = this.#events.shift()
      if (event !== undefined) return event
      await this.#nextPush()
    }
  }

  #nextPush(): Promise<void> {
    return new Promise((wake) => {
      this.#waiters.push(wake)
    })
  }
}
