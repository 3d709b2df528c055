/** The scoreboard in shared memory: the addon maps the same page in the arbiter and in each worker. */

import type { BeatCounters } from '../messages.ts'
import type { Native, NativeScoreboard } from '../native/index.ts'
import type { ArbiterBoard, SlotReading, Totals, WorkerBoard, WorkerBoardState } from './board.ts'

/** The arbiter's side: makes the page and reads it. */
export class SharedBoard implements ArbiterBoard {
  readonly slots: number
  readonly fd: number
  readonly kickFds: readonly number[]
  readonly #page: NativeScoreboard
  readonly #noted = new Map<number, BeatCounters>()

  constructor(native: Native, slots: number) {
    this.#page = native.Scoreboard.create(slots)
    this.slots = slots
    this.fd = this.#page.fd
    this.kickFds = this.#page.kickFds()
  }

  claim(slot: number, pid: number): number {
    this.#noted.delete(slot)
    return this.#page.claim(slot, pid)
  }

  release(slot: number): void {
    this.#page.release(slot)
  }

  // The TypeScript engine does not count in the page: its counts come as messages even so.
  note(slot: number, counters: BeatCounters): void {
    this.#noted.set(slot, counters)
  }

  read(slot: number): SlotReading {
    const { beatAgeMs, connections, busy, requests } = this.#page.read(slot)
    return { connections, busy, requests, ...this.#noted.get(slot), beatAgeMs }
  }

  kickAll(): void {
    this.#page.kickAll()
  }

  totals(): Totals {
    return this.#page.totals()
  }

  absorb(earlier: Totals): void {
    this.#page.absorb(earlier)
  }
}

/** A worker's side: its own slot of the page that it has inherited. */
export class SharedWorkerBoard implements WorkerBoard {
  readonly #page: NativeScoreboard
  readonly #slot: number

  constructor(native: Native, { fd, slots, slot }: { fd: number; slots: number; slot: number }) {
    this.#page = native.Scoreboard.open(fd, slots)
    this.#slot = slot
  }

  setState(state: WorkerBoardState): void {
    this.#page.setState(this.#slot, STATES[state])
  }

  beat(): void {
    this.#page.beat(this.#slot)
  }
}

// The numbers of the page's layout; 0 is a free slot.
const STATES: Record<WorkerBoardState, number> = { booting: 1, accepting: 2, draining: 3, gone: 4 }
