/**
 * The scoreboard in shared memory: the addon maps the same page in the arbiter and in each worker.
 */

import type { WorkerCounters } from '../messages.ts'
import type { Native, NativeScoreboard } from '../native/index.ts'
import type {
  ArbiterScoreboard,
  EarlierTotals,
  ResponseReading,
  ScoreboardTotals,
  ServerState,
  SlotReading,
  TransferFds,
  WorkerScoreboard,
  WorkerScoreboardState,
} from './board.ts'
import {
  addMetrics,
  readEarlierMetrics,
  readSlotMetrics,
  type ScoreboardMetrics,
  summarize,
} from './metrics.ts'

/** The arbiter's side: creates the page and reads it. */
export class SharedScoreboard implements ArbiterScoreboard {
  readonly slotCount: number
  readonly fd: number
  readonly kickFds: readonly number[]
  readonly #native: Native
  readonly #page: NativeScoreboard
  readonly #reportedCounters = new Map<number, WorkerCounters>()
  /** Requests that released workers reported by messages. */
  #reportedRequests = 0
  /** The page of the earlier arbiter of an upgrade, whose workers may still count. */
  #earlierPage: NativeScoreboard | undefined

  constructor(native: Native, slots: number) {
    this.#native = native
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
    this.#reportedRequests += this.#reportedCounters.get(slot)?.requests ?? 0
    this.#reportedCounters.delete(slot)
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

  readResponses(slot: number): ResponseReading {
    if (slot !== 0) return summarize(readSlotMetrics(this.#page, slot, this.#page.seriesKeys()))
    const slots = Array.from({ length: this.slotCount }, (_, index) => index + 1)
    const { exited, slots: running } = this.readMetrics(slots)
    return summarize(addMetrics([exited, ...running.values()]))
  }

  totals(): ScoreboardTotals {
    const pages = [this.#page.totals(), this.#earlierPage?.totals() ?? NO_TOTALS]
    const reported = [...this.#reportedCounters.values()].map((counters) => counters.requests)
    const requests = reported.reduce((sum, count) => sum + count, this.#reportedRequests)
    return pages.reduce(addTotals, { ...NO_TOTALS, requests })
  }

  continueTotals({ scoreboard, totals }: EarlierTotals): void {
    try {
      if (scoreboard !== undefined) {
        this.#earlierPage = this.#native.Scoreboard.open(scoreboard.fd, scoreboard.slots)
        return
      }
    } catch {
      // The other version of the package has another layout. Its totals arrived as a message.
    }
    if (totals !== undefined) this.#page.absorb(totals)
  }

  absorbEarlier(): void {
    if (this.#earlierPage !== undefined) this.#page.absorbBoard(this.#earlierPage)
    this.#earlierPage = undefined
  }

  readMetrics(slots: readonly number[]): ScoreboardMetrics {
    const keys = this.#page.seriesKeys()
    const released = readSlotMetrics(this.#page, 0, keys)
    const earlier = this.#earlierPage
    return {
      exited:
        earlier === undefined ? released : addMetrics([released, readEarlierMetrics(earlier)]),
      slots: new Map(slots.map((slot) => [slot, readSlotMetrics(this.#page, slot, keys)])),
    }
  }

  publishServerState({ wantedWorkers, isStopping, timeoutMs }: ServerState): void {
    this.#page.publishServerState(wantedWorkers, isStopping, Math.round(timeoutMs))
  }
}

const NO_TOTALS: ScoreboardTotals = { accepted: 0, requests: 0, bytesIn: 0, bytesOut: 0 }

function addTotals(sum: ScoreboardTotals, more: ScoreboardTotals): ScoreboardTotals {
  return {
    accepted: sum.accepted + more.accepted,
    requests: sum.requests + more.requests,
    bytesIn: sum.bytesIn + more.bytesIn,
    bytesOut: sum.bytesOut + more.bytesOut,
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
