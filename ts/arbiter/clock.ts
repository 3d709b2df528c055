/** The arbiter's clock: a tick comes as an event, each second and whenever something falls due. */

import type { System } from '../process/system.ts'
import type { EventQueue } from './events.ts'

const TICK_MS = 1_000
/** A tick that comes later than this was not the workers' fault: nobody is called silent on it. */
const TICK_LATE_MS = 1_000

export class Clock {
  readonly #system: System
  readonly #queue: EventQueue
  #nextMs: number
  #cancel: () => void = () => {}

  constructor(system: System, queue: EventQueue) {
    this.#system = system
    this.#queue = queue
    this.#nextMs = system.now() + TICK_MS
  }

  /** The next tick comes at `dueMs`, or when the second is over. */
  arm(dueMs: number): void {
    this.#cancel()
    const delayMs = Math.max(0, Math.ceil(Math.min(this.#nextMs, dueMs) - this.#system.now()))
    this.#cancel = this.#system.after(delayMs, () => this.#queue.push({ type: 'tick' }))
  }

  /** What the tick that has come is. */
  read(): { readonly late: boolean; readonly second: boolean } {
    const nowMs = this.#system.now()
    const late = nowMs - this.#nextMs > TICK_LATE_MS
    const second = nowMs >= this.#nextMs
    if (second) this.#nextMs = nowMs + TICK_MS
    return { late, second }
  }

  stop(): void {
    this.#cancel()
  }
}
