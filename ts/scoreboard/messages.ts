/** The scoreboard without shared memory: a worker sends its counts with each beat, the arbiter keeps the last. */

import type { BeatCounters, WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { ArbiterBoard, SlotReading, WorkerBoard } from './board.ts'

interface Entry {
  counters: BeatCounters
  beatAtMs: number | undefined
}

const NOTHING: BeatCounters = { connections: 0, busy: 0, requests: 0 }

/** The arbiter's side: a table of the last message of each slot. */
export class MessageBoard implements ArbiterBoard {
  readonly slots: number
  readonly fd = undefined
  readonly kickFds: readonly number[] = []
  readonly #system: System
  readonly #entries = new Map<number, Entry>()
  #generation = 0

  constructor(system: System, slots: number) {
    this.#system = system
    this.slots = slots
  }

  claim(slot: number): number {
    this.#entries.set(slot, { counters: NOTHING, beatAtMs: undefined })
    this.#generation += 1
    return this.#generation
  }

  release(slot: number): void {
    this.#entries.delete(slot)
  }

  note(slot: number, counters: BeatCounters): void {
    if (this.#entries.has(slot)) this.#entries.set(slot, { counters, beatAtMs: this.#system.now() })
  }

  read(slot: number): SlotReading {
    const entry = this.#entries.get(slot)
    const beatAtMs = entry?.beatAtMs
    return {
      ...(entry?.counters ?? NOTHING),
      beatAgeMs: beatAtMs === undefined ? undefined : this.#system.now() - beatAtMs,
    }
  }

  // Without the addon nobody disarms a listener, so nobody needs a kick.
  kickAll(): void {}

  // Nobody reads totals of it.
  totals(): undefined {}

  absorb(): void {}
}

/** The worker's side: a message with each beat. States need no message: the arbiter hears of ready and leaving anyway. */
export class ChannelBoard implements WorkerBoard {
  readonly #send: (message: WorkerMessage) => void
  readonly #counters: () => BeatCounters

  constructor(send: (message: WorkerMessage) => void, counters: () => BeatCounters) {
    this.#send = send
    this.#counters = counters
  }

  setState(): void {}

  beat(): void {
    this.#send({ type: 'beat', counters: this.#counters() })
  }
}
