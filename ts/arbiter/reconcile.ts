/**
 * Finds the next step from the current workers to the wanted ones. One rule serves start, growth,
 * shrinking, crashes, reload and recycling: an outdated worker stops only once its successor
 * serves, one at a time.
 */

import { IDLE_DRAIN_MS } from '../messages.ts'
import type { Generation } from './generation.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** One change to the set of workers. */
export type ReconcileStep =
  | { readonly type: 'spawn'; readonly generation: Generation }
  | { readonly type: 'retire'; readonly worker: WorkerHandle }
  /** An event must come first: a boot, an exit, or the end of a delay. */
  | { readonly type: 'wait' }
  /** The workers are the wanted ones. */
  | { readonly type: 'settled' }

/** Current and wanted state of the workers. */
export interface ReconcileInput {
  readonly wantedCount: number
  readonly workers: readonly WorkerHandle[]
  /** Generation that replacements are started with. */
  readonly currentGeneration: Generation
  /** Generation that a reload tries with one worker before it becomes current. */
  readonly trialGeneration: Generation | undefined
  readonly canSpawn: boolean
  /** How many workers may boot at the same time while their boot keeps a processor busy. */
  readonly maxBooting: number
  /**
   * How many workers more than wanted may exist while old ones are replaced (setting `max_surge`).
   */
  readonly maxSurge: number
  readonly nowMs: number
}

/** A reload does not wait for requests older than this. */
const SLOW_REQUEST_AGE_MS = 5_000

/** Finds one step. The caller performs it and asks again, until the step is `wait` or `settled`. */
export function nextStep(situation: ReconcileInput): ReconcileStep {
  const { wantedCount, workers, currentGeneration, trialGeneration } = situation
  const live = workers.filter((worker) => worker.isLive() && worker.generation !== trialGeneration)
  // With more boots than processors every worker would be ready late. This way the first one is
  // ready sooner.
  const boots =
    workers.filter((worker) => isBusyBooting(worker, situation.nowMs)).length < situation.maxBooting
  if (live.length < wantedCount && situation.canSpawn && boots) return spawn(currentGeneration)
  if (trialGeneration !== undefined) {
    // A crash delay does not hold the trial back: the reload may fix the crash.
    return workers.some((worker) => worker.generation === trialGeneration)
      ? WAIT
      : spawn(trialGeneration)
  }
  if (live.length < wantedCount) return WAIT
  const stale = live.filter(
    (worker) => worker.needsReplacement || worker.generation !== currentGeneration,
  )
  if (stale.length === 0) return shrink(live, wantedCount)
  return replace(stale, live, situation)
}

/**
 * Stops a surplus worker where all are current: the oldest one that serves, or one that boots if
 * every serving one is needed.
 */
function shrink(live: readonly WorkerHandle[], wanted: number): ReconcileStep {
  if (live.length === wanted) return { type: 'settled' }
  const serving = live.filter(({ state }) => state === 'serving')
  return retire(serving.length > wanted ? oldest(serving) : newest(live))
}

function replace(
  stale: readonly WorkerHandle[],
  live: readonly WorkerHandle[],
  { wantedCount, currentGeneration, workers, canSpawn, maxSurge, nowMs }: ReconcileInput,
): ReconcileStep {
  // A booting worker serves no requests, so it can stop without a successor.
  const unready = stale.find(({ state }) => state === 'booting')
  if (unready !== undefined && live.length > wantedCount) return retire(unready)
  const serving = live.filter(({ state }) => state === 'serving').length
  if (serving > wantedCount) return retire(oldest(stale))
  const fresh = live.length - stale.length
  const awaitedDrains = workers.filter((worker) => isDrainAwaited(worker, nowMs)).length
  // Enough workers exist or are booting: outdated ones stop as these become ready.
  if (live.length + awaitedDrains >= wantedCount + maxSurge || fresh >= wantedCount) return WAIT
  return canSpawn ? spawn(currentGeneration) : WAIT
}

/**
 * Returns whether a reload waits for this drain: the worker may still have requests that are not
 * slow.
 */
export function isDrainAwaited(worker: WorkerHandle, nowMs: number): boolean {
  return worker.state === 'draining' && nowMs < drainAwaitedUntilMs(worker)
}

/**
 * Returns the time from which a draining worker has only slow requests left, as far as the
 * scoreboard shows.
 */
export function drainAwaitedUntilMs({
  stoppingSinceMs = 0,
  lastRequestAtMs = 0,
}: WorkerHandle): number {
  return Math.max(stoppingSinceMs + IDLE_DRAIN_MS, lastRequestAtMs + SLOW_REQUEST_AGE_MS)
}

/** A boot that takes longer waits for something, and does not keep a processor busy. */
export const BUSY_BOOT_MS = 1_000

function isBusyBooting({ state, spawnedAtMs }: WorkerHandle, nowMs: number): boolean {
  return state === 'booting' && nowMs - spawnedAtMs < BUSY_BOOT_MS
}

const WAIT: ReconcileStep = { type: 'wait' }

function spawn(generation: Generation): ReconcileStep {
  return { type: 'spawn', generation }
}

function retire(worker: WorkerHandle): ReconcileStep {
  return { type: 'retire', worker }
}

function oldest<T extends WorkerHandle>(workers: readonly T[]): T {
  return workers.reduce((a, b) => (b.age < a.age ? b : a))
}

function newest<T extends WorkerHandle>(workers: readonly T[]): T {
  return workers.reduce((a, b) => (b.age > a.age ? b : a))
}
