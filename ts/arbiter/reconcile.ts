/**
 * The next step from the workers that are to those that are wanted. One rule serves start, growth, shrinking, crashes,
 * reload and recycling: a worker that is out of date leaves only when its successor serves, one at a time.
 */

import { IDLE_DRAIN_MS } from '../messages.ts'
import type { Generation } from './generation.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A step of the set of workers. */
export type ReconcileStep =
  | { readonly type: 'spawn'; readonly generation: Generation }
  | { readonly type: 'retire'; readonly worker: WorkerHandle }
  /** Something must happen first: a boot, an exit, the end of a pause. */
  | { readonly type: 'wait' }
  /** The workers are those that are wanted. */
  | { readonly type: 'settled' }

export interface ReconcileInput {
  readonly wanted: number
  readonly workers: readonly WorkerHandle[]
  /** What replacements are started with. */
  readonly current: Generation
  /** What a reload tries with one worker before it becomes current. */
  readonly trial: Generation | undefined
  readonly canSpawn: boolean
  /** How many may boot at a time, as long as that keeps them busy. */
  readonly maxBooting: number
  /** How many more than wanted may serve at a time while old ones are replaced. */
  readonly maxSurge: number
  readonly nowMs: number
}

/** A reload does not wait for requests that are older than this. */
const SLOW_REQUEST_AGE_MS = 5_000

/** Decides one step; called again after each until it says `wait` or `settled`. */
export function nextStep(situation: ReconcileInput): ReconcileStep {
  const { wanted, workers, current, trial } = situation
  const live = workers.filter((worker) => worker.isLive() && worker.generation !== trial)
  // Of more at a time than there are processors all would be late; the first one serves sooner this way.
  const boots =
    workers.filter((worker) => isBusyBooting(worker, situation.nowMs)).length < situation.maxBooting
  if (live.length < wanted && situation.canSpawn && boots) return spawn(current)
  if (trial !== undefined) {
    // Not held back by a pause: it may be the mend of what crashes.
    return workers.some((worker) => worker.generation === trial) ? WAIT : spawn(trial)
  }
  if (live.length < wanted) return WAIT
  const stale = live.filter((worker) => worker.needsReplacement || worker.generation !== current)
  if (stale.length === 0) return shrink(live, wanted)
  return replace(stale, live, situation)
}

/** Too many workers and all up to date: the oldest leave, but a booting one before one that is needed. */
function shrink(live: readonly WorkerHandle[], wanted: number): ReconcileStep {
  if (live.length === wanted) return { type: 'settled' }
  const serving = live.filter(({ state }) => state === 'serving')
  return retire(serving.length > wanted ? oldest(serving) : newest(live))
}

function replace(
  stale: readonly WorkerHandle[],
  live: readonly WorkerHandle[],
  { wanted, current, workers, canSpawn, maxSurge, nowMs }: ReconcileInput,
): ReconcileStep {
  // One that is not ready yet serves nobody, so it can leave without a successor.
  const unready = stale.find(({ state }) => state === 'booting')
  if (unready !== undefined && live.length > wanted) return retire(unready)
  const serving = live.filter(({ state }) => state === 'serving').length
  if (serving > wanted) return retire(oldest(stale))
  const fresh = live.length - stale.length
  const leaving = workers.filter((worker) => isDrainAwaited(worker, nowMs)).length
  // The wanted ones are all there or on their way: what is stale leaves as they become ready.
  if (live.length + leaving >= wanted + maxSurge || fresh >= wanted) return WAIT
  return canSpawn ? spawn(current) : WAIT
}

/** Told to leave and perhaps busy with more than a few slow requests: no further step is taken meanwhile. */
export function isDrainAwaited(worker: WorkerHandle, nowMs: number): boolean {
  return worker.state === 'draining' && nowMs < drainAwaitedUntilMs(worker)
}

/** When a draining worker has, as far as is known now, only slow requests left. */
export function drainAwaitedUntilMs({
  stoppingSinceMs = 0,
  lastRequestAtMs = 0,
}: WorkerHandle): number {
  return Math.max(stoppingSinceMs + IDLE_DRAIN_MS, lastRequestAtMs + SLOW_REQUEST_AGE_MS)
}

/** One that takes longer waits for something, and keeps no processor busy. */
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
