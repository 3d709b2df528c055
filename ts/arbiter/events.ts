/** Everything that can happen to the arbiter, as one queue. Callbacks only push; the loop takes one at a time. */

import type { WorkerMessage } from '../messages.ts'
import type { ChildExit } from '../process/system.ts'
import type { SignalName } from '../signals.ts'
import type { Generation } from './generation.ts'
import type { WorkerHandle } from './worker-handle.ts'

export type ArbiterEvent =
  | { readonly type: 'signal'; readonly signal: SignalName }
  /** The addresses of the first generation, or of a reload's, are open. */
  | {
      readonly type: 'opened'
      readonly generation: Generation
      readonly warnings: readonly string[]
    }
  /** The settings could not be read or the addresses not be opened. */
  | { readonly type: 'openFailed'; readonly error: unknown }
  | { readonly type: 'message'; readonly worker: WorkerHandle; readonly message: WorkerMessage }
  | { readonly type: 'exit'; readonly worker: WorkerHandle; readonly exit: ChildExit }
  /** The new arbiter that this one has started serves. */
  | { readonly type: 'successorReady'; readonly pid: number }
  | { readonly type: 'successorExit'; readonly pid: number; readonly exit: ChildExit }
  /** The arbiter that has started this one has ended. */
  | { readonly type: 'promoted' }
  /** With `reload`: files of the application, or the config file. */
  | { readonly type: 'changed'; readonly files: readonly string[] }
  /** A second has passed, or a deadline. */
  | { readonly type: 'tick' }

export class EventQueue {
  readonly #events: ArbiterEvent[] = []
  #wake: (() => void) | undefined

  push(event: ArbiterEvent): void {
    this.#events.push(event)
    this.#wake?.()
  }

  /** The oldest event; waits when there is none. */
  async take(): Promise<ArbiterEvent> {
    for (;;) {
      const event = this.#events.shift()
      if (event !== undefined) return event
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    }
  }
}
