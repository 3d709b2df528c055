/**
 * The scoreboard in shared memory: the addon maps the same page in the arbiter and in each worker.
 */

import type { WorkerCounters } from '../messages.ts'
import type { Native, NativeScoreboard } from '../native/index.ts'
import type {
  ArbiterScoreboard,
  ScoreboardTotals,
  SlotReading,
  TransferFds,
  WorkerScoreboard,
  WorkerScoreboardState,
} from './board.ts'

/** The arbiter's side: creates the page and reads it. */
export class SharedScoreboard implements ArbiterScoreboard {
  readonly slotCount: number
  readonly fd: number
  readonly kickFds: readonly number[]
  readonly #page: NativeScoreboard
  readonly #reportedCounters = new Map<number, WorkerCounters>()

  constructor(native: Native, slots: number) {
    this.#page = native.Scoreboard.create(slots)
    this.slotCount = slots
    this.fd = this.#page.fd
    this.kickFds = this.#page.kickFds()
  }

  claim(slot: number, pid: number): number {
    this.#reportedCounters.delete(slot)
    return this.#page.claim(slot, pid)
  }

  release(slot: number): void {
    this.#page.release(slot)
    this.rescueTransfers()
  }

  // The TypeScript engine does not count in the page, so its counters arrive as messages here too.
  recordCounters(slot: number, counters: WorkerCounters): void {
    this.#reportedCounters.set(slot, counters)
  }

  read(slot: number): SlotReading {
    const { beatAgeMs: heartbeatAgeMs, connections, inFlight, requests } = this.#page.read(slot)
    return { connections, inFlight, requests, ...this.#reportedCounters.get(slot), heartbeatAgeMs }
  }

  // Other systems have no sockets for it.
  transferFds(): TransferFds | undefined {
    if (process.platform !== 'linux') return undefined
    return this.#page.transferFds()
  }

  rescueTransfers(): void {
    this.#page.rescueTransfers()
  }

  kickAll(): void {
    this.#page.kickAll()
  }

  totals(): ScoreboardTotals {
    return this.#page.totals()
  }

  addTotals(earlier: ScoreboardTotals): void {
    this.#page.absorb(earlier)
  }
}

/** A worker's side: its own slot of the inherited page. */
export class SharedWorkerScoreboard implements WorkerScoreboard {
  readonly #page: NativeScoreboard
  readonly #slot: number

  constructor(native: Native, { fd, slots, slot }: { fd: number; slots: number; slot: number }) {
    this.#page = native.Scoreboard.open(fd, slots)
    this.#slot = slot
  }

  setState(state: WorkerScoreboardState): void {
    this.#page.setState(this.#slot, STATE_NUMBERS[state])
  }

  beat(): void {
    this.#page.beat(this.#slot)
  }
}

// State numbers in the layout of the page; 0 is a free slot.
const STATE_NUMBERS: Record<WorkerScoreboardState, number> = {
  booting: 1,
  accepting: 2,
  draining: 3,
  gone: 4,
}
