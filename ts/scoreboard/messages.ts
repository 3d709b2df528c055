/**
 * The scoreboard without shared memory: a worker sends its counters with each heartbeat, and the
 * arbiter keeps the latest.
 */

import type { WorkerCounters, WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type {
  ArbiterScoreboard,
  EarlierTotals,
  ScoreboardTotals,
  SlotReading,
  WorkerScoreboard,
} from './board.ts'

interface SlotEntry {
  counters: WorkerCounters
  heartbeatAtMs: number | undefined
}

const ZERO_COUNTERS: WorkerCounters = { connections: 0, inFlight: 0, requests: 0 }

/** The arbiter's side: the latest counters of each slot. */
export class MessageScoreboard implements ArbiterScoreboard {
  readonly slotCount: number
  readonly fd = undefined
  readonly kickFds: readonly number[] = []
  readonly #system: System
  readonly #entries = new Map<number, SlotEntry>()
  #generation = 0
  #releasedRequests = 0

  constructor(system: System, slots: number) {
    this.#system = system
    this.slotCount = slots
  }

  claim(slot: number): number {
    this.#entries.set(slot, { counters: ZERO_COUNTERS, heartbeatAtMs: undefined })
    this.#generation += 1
    return this.#generation
  }

  release(slot: number): void {
    this.#releasedRequests += this.#entries.get(slot)?.counters.requests ?? 0
    this.#entries.delete(slot)
  }

  recordCounters(slot: number, counters: WorkerCounters): void {
    if (this.#entries.has(slot))
      this.#entries.set(slot, { counters, heartbeatAtMs: this.#system.now() })
  }

  read(slot: number): SlotReading {
    const entry = this.#entries.get(slot)
    const beatAtMs = entry?.heartbeatAtMs
    return {
      ...(entry?.counters ?? ZERO_COUNTERS),
      heartbeatAgeMs: beatAtMs === undefined ? undefined : this.#system.now() - beatAtMs,
    }
  }

  // Only the addon can send a descriptor to a running process.
  transferFds(): undefined {}

  rescueTransfers(): void {}

  // Without the addon a worker never stops polling its listeners, so none needs to be woken.
  kickAll(): void {}

  // Workers do not send these counters.
  readResponses(): undefined {}

  totals(): ScoreboardTotals {
    const running = [...this.#entries.values()].map(({ counters }) => counters.requests)
    const requests = running.reduce((sum, count) => sum + count, this.#releasedRequests)
    return { accepted: 0, requests, bytesIn: 0, bytesOut: 0 }
  }

  continueTotals({ totals }: EarlierTotals): void {
    this.#releasedRequests += totals?.requests ?? 0
  }

  absorbEarlier(): void {}

  readMetrics(): undefined {}

  // Without the addon no engine answers health checks by itself.
  publishServerState(): void {}
}

/**
 * The worker's side: a message with each heartbeat. States need no message of their own: other
 * messages report them.
 */
export class ChannelScoreboard implements WorkerScoreboard {
  readonly #send: (message: WorkerMessage) => void
  readonly #counters: () => WorkerCounters

  constructor(send: (message: WorkerMessage) => void, counters: () => WorkerCounters) {
    this.#send = send
    this.#counters = counters
  }

  setState(): void {}

  beat(): void {
    this.#send({ type: 'heartbeat', counters: this.#counters() })
  }
}
