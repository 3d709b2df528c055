/**
 * The number of workers that are wanted: from the settings, changed by TTIN and TTOU, and 0 while
 * WINCH has paused them.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'

/** Slots that TTIN does not use, for the overlap during a reload and for slow drains. */
const SPARE_SLOTS = 2

/** The wanted number of workers, between 1 and the number of scoreboard slots less two. */
export class WorkerCount {
  readonly #log: Logger
  readonly #max: number
  #wanted: number
  #isPaused = false
  readonly #onChange: (now: number, before: number) => void

  constructor(
    log: Logger,
    { workers, slotCount }: { workers: number; slotCount: number },
    onChange: (now: number, before: number) => void,
  ) {
    this.#onChange = onChange
    this.#log = log
    this.#max = slotCount - SPARE_SLOTS
    this.#wanted = this.#limit(workers)
  }

  get wanted(): number {
    return this.#isPaused ? 0 : this.#wanted
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Largest number that can be wanted. */
  get max(): number {
    return this.#max
  }

  /** Sets the number that the settings have. */
  reset(workers: number): void {
    this.#set(this.#limitAndLog(workers))
  }

  /** Adds one worker; after a pause this is the first one. */
  increment(): void {
    this.#resize(this.wanted + 1)
  }

  decrement(): void {
    this.#resize(this.#wanted - 1)
  }

  /** Sets another number, until the next reload. */
  scaleTo(workers: number): void {
    this.#resize(workers)
  }

  pause(): void {
    logLine(this.#log, 'stoppingAllWorkers')
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
  }

  #resize(wanted: number): void {
    this.#isPaused = false
    this.#set(this.#limitAndLog(wanted))
  }

  #set(wanted: number): void {
    const before = this.#wanted
    this.#wanted = wanted
    this.#onChange(wanted, before)
  }

  #limitAndLog(wanted: number): number {
    const allowed = this.#limit(wanted)
    if (allowed !== wanted) logLine(this.#log, 'workerCountLimited', allowed, wanted, this.#max)
    return allowed
  }

  #limit(wanted: number): number {
    return Math.max(1, Math.min(wanted, this.#max))
  }
}
