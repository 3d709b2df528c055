/** How many workers are wanted: by the settings, by TTIN and TTOU, and none while the arbiter rests after WINCH. */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'

/** Slots that TTIN leaves free, for the overlap of a reload and for slow drains. */
const SPARE_SLOTS = 2

export class Headcount {
  readonly #log: Logger
  readonly #most: number
  #wanted: number
  #resting = false
  readonly #onChange: (now: number, before: number) => void

  constructor(
    log: Logger,
    { workers, slots }: { workers: number; slots: number },
    onChange: (now: number, before: number) => void,
  ) {
    this.#onChange = onChange
    this.#log = log
    this.#most = slots - SPARE_SLOTS
    this.#wanted = this.#allowed(workers)
  }

  get wanted(): number {
    return this.#resting ? 0 : this.#wanted
  }

  get isResting(): boolean {
    return this.#resting
  }

  /** As the settings say. */
  reset(workers: number): void {
    this.#set(this.#sayAllowed(workers))
  }

  /** One more; after a rest the first one. */
  grow(): void {
    this.#resize(this.wanted + 1)
  }

  shrink(): void {
    this.#resize(this.#wanted - 1)
  }

  rest(): void {
    logLine(this.#log, 'stoppingAllWorkers')
    this.#resting = true
  }

  wake(): void {
    this.#resting = false
  }

  #resize(wanted: number): void {
    this.#resting = false
    this.#set(this.#sayAllowed(wanted))
  }

  #set(wanted: number): void {
    const before = this.#wanted
    this.#wanted = wanted
    this.#onChange(wanted, before)
  }

  #sayAllowed(wanted: number): number {
    const allowed = this.#allowed(wanted)
    if (allowed !== wanted) logLine(this.#log, 'workerCountLimited', allowed, wanted, this.#most)
    return allowed
  }

  #allowed(wanted: number): number {
    return Math.max(1, Math.min(wanted, this.#most))
  }
}
