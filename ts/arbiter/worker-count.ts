/** How many workers are wanted: by the settings, by TTIN and TTOU, and none while the arbiter rests after WINCH. */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'

/** Slots that TTIN leaves free, for the overlap of a reload and for slow drains. */
const SPARE_SLOTS = 2

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

  /** As the settings say. */
  reset(workers: number): void {
    this.#set(this.#limitAndLog(workers))
  }

  /** One more; after a rest the first one. */
  increment(): void {
    this.#resize(this.wanted + 1)
  }

  decrement(): void {
    this.#resize(this.#wanted - 1)
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
