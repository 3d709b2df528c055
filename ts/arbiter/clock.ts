/** The arbiter's clock: a tick comes as an event, each second and whenever something falls due. */

import type { System } from '../process/system.ts'
import type { EventQueue } from './events.ts'

const TICK_MS = 1_000
/** A tick that comes later than this was not the workers' fault: nobody is called silent on it. */
const MAX_TICK_DELAY_MS = 1_000

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

  /** The next tick comes at `dueMs`, or when the second is over. */
  scheduleTick(dueMs: number): void {
    this.#cancel()
    const delayMs = Math.max(
      0,
      Math.ceil(Math.min(this.#nextSecondAtMs, dueMs) - this.#system.now()),
    )
    this.#cancel = this.#system.after(delayMs, () => this.#queue.push({ type: 'tick' }))
  }

  /** What the tick that has come is. */
  handleTick(): { readonly isLate: boolean; readonly isFullSecond: boolean } {
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
