/** The arbiter's timer: a tick is pushed as an event every second and at each deadline. */

import type { System } from '../process/system.ts'
import type { EventQueue } from './events.ts'

const TICK_MS = 1_000
/**
 * Delay from which a tick is late. The arbiter itself was blocked then, so no worker is called
 * silent.
 */
const MAX_TICK_DELAY_MS = 1_000

/** Pushes ticks into the event queue. */
export class Clock {
  readonly #system: System
  readonly #queue: EventQueue
  #nextSecondAtMs: number
  #cancel: () => void = () => {}

  constructor(system: System, queue: EventQueue) {
    this.#system = system
    this.#queue = queue
    this.#nextSecondAtMs = system.now() + TICK_MS
  }

  /**
   * Schedules the next tick for `dueMs`, or for the end of the current second if that is earlier.
   */
  scheduleTick(dueMs: number): void {
    this.#cancel()
    const delayMs = Math.max(
      0,
      Math.ceil(Math.min(this.#nextSecondAtMs, dueMs) - this.#system.now()),
    )
    this.#cancel = this.#system.after(delayMs, () => this.#queue.push({ type: 'tick' }))
  }

  /** Returns whether the tick that has arrived is late, and whether a full second has passed. */
  classifyTick(): { readonly isLate: boolean; readonly isFullSecond: boolean } {
    const nowMs = this.#system.now()
    const isLate = nowMs - this.#nextSecondAtMs > MAX_TICK_DELAY_MS
    const isFullSecond = nowMs >= this.#nextSecondAtMs
    if (isFullSecond) this.#nextSecondAtMs = nowMs + TICK_MS
    return { isLate, isFullSecond }
  }

  stop(): void {
    this.#cancel()
  }
}
