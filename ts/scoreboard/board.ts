/**
 * The scoreboard: counters and state of each worker, as the arbiter reads them. There are two
 * implementations: a memory page that all processes share (`shared.ts`, needs the addon), and
 * messages over the channel (`messages.ts`). Slots count from 1, as in MONOCEROS_WORKER.
 */

import type { WorkerCounters } from '../messages.ts'
import type { NativeScoreboard } from '../native/index.ts'
import type { ScoreboardMetrics } from './metrics.ts'

/** What the arbiter knows about one worker. */
export interface SlotReading extends WorkerCounters {
  /** Milliseconds since the event loop last turned; undefined before the first heartbeat. */
  readonly heartbeatAgeMs: number | undefined
}

/** The sockets of the slots: where each worker receives connections, and where others send them. */
export interface TransferFds {
  readonly inboxes: readonly number[]
  readonly outboxes: readonly number[]
}

/** The scoreboard as the arbiter uses it. */
export interface ArbiterScoreboard {
  readonly slotCount: number
  /** Descriptor of the shared page, for the workers; undefined without shared memory. */
  readonly fd: number | undefined
  readonly kickFds: readonly number[]
  /**
   * Returns the sockets over which workers transfer connections to each other, and creates them at
   * the first call; undefined without shared memory.
   */
  transferFds(): TransferFds | undefined
  /** Passes on the connections that were transferred to workers which have exited. */
  rescueTransfers(): void
  /**
   * Assigns a slot to a new worker. Returns a generation that distinguishes this worker from
   * earlier ones in the slot.
   */
  claim(slot: number, pid: number): number
  /** Frees a slot after the worker's exit, and adds its counters to the totals once. */
  release(slot: number): void
  /** Stores counters that arrived with a heartbeat message. */
  recordCounters(slot: number, counters: WorkerCounters): void
  read(slot: number): SlotReading
  /**
   * Wakes the acceptor of every worker: a worker that died may have left connections that no other
   * one looks at.
   */
  kickAll(): void
  /** Returns the completed requests of a slot; with 0, those of all workers, running or not. */
  readResponses(slot: number): ResponseReading | undefined
  /** Returns the totals of all workers, running or not. */
  totals(): ScoreboardTotals
  /**
   * Continues the totals of an earlier arbiter: those of its shared page, where both can read it,
   * else the totals that it passed on.
   */
  continueTotals(earlier: EarlierTotals): void
  /** Prepares an upgrade: the page contains the totals of the earlier arbiter from now on. */
  absorbEarlier(): void
  /** Reads the metrics of the workers in these slots; undefined without shared memory. */
  readMetrics(slots: readonly number[]): ScoreboardMetrics | undefined
  /** Publishes the state of the server for the health checks that the engine answers. */
  publishServerState(state: ServerState): void
}

/** What the engine needs for health checks. */
export interface ServerState {
  readonly wantedWorkers: number
  readonly isStopping: boolean
  /** The setting `timeout`; 0 turns it off. */
  readonly timeoutMs: number
}

/** What an earlier arbiter passes on of its scoreboard. */
export interface EarlierTotals {
  /** The shared page by its descriptor in this process. */
  readonly scoreboard?: { readonly fd: number; readonly slots: number }
  readonly totals?: ScoreboardTotals
}

/** Completed requests by status and by duration. */
export interface ResponseReading {
  /** Numbers of requests by class of status, 1xx to 5xx. */
  readonly status: readonly number[]
  readonly latency: LatencyHistogram
}

/** Numbers of requests by duration. */
export interface LatencyHistogram {
  /** Upper bound of each bucket, in seconds. */
  readonly bounds: readonly number[]
  /** Numbers of requests in each bucket, those of lower buckets not included. */
  readonly counts: readonly number[]
  /** Sum of all durations, in seconds. */
  readonly sum: number
}

/** Counters that only grow. One arbiter passes them to the next in an upgrade. */
export type ScoreboardTotals = ReturnType<NativeScoreboard['totals']>

/** State of a worker as other processes see it. */
export type WorkerScoreboardState = 'booting' | 'accepting' | 'draining' | 'gone'

/** The scoreboard as a worker uses it: its own slot. */
export interface WorkerScoreboard {
  setState(state: WorkerScoreboardState): void
  beat(): void
}

/**
 * Returns the number of slots, which is fixed for the arbiter's life. There are spare slots for
 * overlapping successors and for workers added by TTIN. Each slot costs a descriptor in every
 * process, so there are fewer spare slots where the system allows few descriptors.
 */
export function computeSlotCount(workers: number, openFiles = Number.POSITIVE_INFINITY): number {
  const spare = Math.min(MIN_SLOTS, Math.floor(openFiles / OPEN_FILES_PER_SLOT))
  return Math.max(spare, 2 * workers, workers + 2)
}

const MIN_SLOTS = 32
/** Open files per spare slot: at most one descriptor in 16 belongs to a slot. */
const OPEN_FILES_PER_SLOT = 16
