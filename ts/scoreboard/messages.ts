/** The scoreboard without shared memory: a worker sends its counts with each beat, the arbiter keeps the last. */

import type { WorkerCounters, WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { ArbiterScoreboard, SlotReading, WorkerScoreboard } from './board.ts'

interface SlotEntry {
  counters: WorkerCounters
  heartbeatAtMs: number | undefined
}

const ZERO_COUNTERS: WorkerCounters = { connections: 0, inFlight: 0, requests: 0 }

/** The arbiter's side: a table of the last message of each slot. */
export class MessageScoreboard implements ArbiterScoreboard {
  readonly slotCount: number
  readonly fd = undefined
  readonly kickFds: readonly number[] = []
  readonly #system: System
  readonly #entries = new Map<number, SlotEntry>()
  #generation = 0

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

  // Without the addon nobody disarms a listener, so nobody needs a kick.
  kickAll(): void {}

  // Nobody reads totals of it.
  totals(): undefined {}

  addTotals(): void {}
}

/** The worker's side: a message with each beat. States need no message: the arbiter hears of ready and leaving anyway. */
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
