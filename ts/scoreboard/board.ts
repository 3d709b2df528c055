/**
 * The scoreboard: what each worker says of itself, as the arbiter reads it. One interface, two implementations: a page
 * of memory shared by all processes (`shared.ts`, needs the addon) and a message a second over the channel
 * (`messages.ts`). Slots count from 1, as in MONOCEROS_WORKER.
 */

import type { WorkerCounters } from '../messages.ts'
import type { NativeScoreboard } from '../native/index.ts'

/** What the arbiter knows of one worker. */
export interface SlotReading extends WorkerCounters {
  /** Since the event loop last turned; undefined before the first beat. */
  readonly heartbeatAgeMs: number | undefined
}

/** Seen from the arbiter. */
export interface ArbiterScoreboard {
  readonly slotCount: number
  /** To hand over to workers; undefined when nothing is shared. */
  readonly fd: number | undefined
  readonly kickFds: readonly number[]
  /** Gives the slot to a new worker; the generation tells it from those before it. */
  claim(slot: number, pid: number): number
  /** After the worker's end: its counts are added to those of the dead, once. */
  release(slot: number): void
  /** A beat that came as a message. */
  recordCounters(slot: number, counters: WorkerCounters): void
  read(slot: number): SlotReading
  /** Wakes every worker's acceptor: a worker has died and may have left connections that nobody looks at. */
  kickAll(): void
  /** All that the living and the dead have counted; undefined when nothing is shared. */
  totals(): ScoreboardTotals | undefined
  /** Goes on from the totals of an earlier arbiter. */
  addTotals(earlier: ScoreboardTotals): void
}

/** What is counted and only ever grows, as one arbiter gives it to the next. */
export type ScoreboardTotals = ReturnType<NativeScoreboard['totals']>

/** A worker's life as others see it on the board. */
export type WorkerScoreboardState = 'booting' | 'accepting' | 'draining' | 'gone'

/** Seen from a worker: its own slot. */
export interface WorkerScoreboard {
  setState(state: WorkerScoreboardState): void
  beat(): void
}

/**
 * Slots for overlapping successors and for workers added by TTIN; fixed for the arbiter's life. Each is a descriptor in
 * every process, which a system that allows few has not for workers that never come.
 */
export function slotCountFor(workers: number, openFiles = Number.POSITIVE_INFINITY): number {
  const spare = Math.min(MIN_SLOTS, Math.floor(openFiles / OPEN_FILES_PER_SLOT))
  return Math.max(spare, 2 * workers, workers + 2)
}

const MIN_SLOTS = 32
/** Of so many descriptors one may be a slot's. */
const OPEN_FILES_PER_SLOT = 16
