/**
 * Finds the workers that are due for replacement: by number of requests, age, memory, or an
 * uncaught error.
 */

import type { System } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { formatSeconds } from './crashes.ts'
import type { WorkerHandle } from './worker-handle.ts'

/**
 * Limits of one worker. Each has a random share, so that workers of the same age are not replaced
 * together.
 */
export interface WorkerLimits {
  /** 0 means no limit. */
  readonly maxRequests: number
  /** 0 means no limit. */
  readonly maxLifetimeMs: number
}

/** Why a worker is replaced although it serves: a setting, or an uncaught error. */
export type RecycleReason =
  | 'max_requests'
  | 'max_worker_lifetime'
  | 'max_worker_memory'
  | 'uncaught_error'

/**
 * Minimum interval between two replacements after uncaught errors. An application that fails on
 * each request must not keep the machine busy with boots.
 */
const MIN_UNCAUGHT_REPLACEMENT_INTERVAL_MS = 5_000

/** Draws the limits of a new worker at random, from the settings and their jitter. */
export function drawWorkerLimits(system: System, config: Config): WorkerLimits {
  const extra = (most: number) => system.random() * most
  const { max_requests, max_worker_lifetime } = config
  return {
    maxRequests:
      max_requests === 0 ? 0 : max_requests + Math.floor(extra(config.max_requests_jitter + 1)),
    maxLifetimeMs:
      max_worker_lifetime === 0
        ? 0
        : (max_worker_lifetime + extra(config.max_worker_lifetime_jitter)) * 1_000,
  }
}

/** Finds workers that are due for replacement. */
export class Recycling {
  readonly #system: System
  #nextUncaughtReplacementAtMs = 0

  constructor(system: System) {
    this.#system = system
  }

  /** Returns why the worker is to be replaced now, for the log, or undefined. */
  findReason(worker: WorkerHandle, requests: number): string | undefined {
    const found = this.#find(worker, requests)
    worker.recycleReason = found?.reason
    return found?.text
  }

  #find(
    worker: WorkerHandle,
    requests: number,
  ): { reason: RecycleReason; text: string } | undefined {
    const { limits, generation } = worker
    const nowMs = this.#system.now()
    if (limits.maxRequests > 0 && requests >= limits.maxRequests) {
      const text = `${requests} requests >= max_requests ${limits.maxRequests}`
      return { reason: 'max_requests', text }
    }
    const servedMs = nowMs - (worker.readyAtMs ?? nowMs)
    if (limits.maxLifetimeMs > 0 && servedMs >= limits.maxLifetimeMs) {
      const limit = formatSeconds(limits.maxLifetimeMs)
      const text = `served ${formatSeconds(servedMs)} >= max_worker_lifetime ${limit}`
      return { reason: 'max_worker_lifetime', text }
    }
    const limit = generation.config.max_worker_memory
    const memory = limit === 0 ? 0 : (this.#system.readResidentBytes(worker.pid) ?? 0)
    if (memory > limit) {
      const text = `resident memory ${mebibytes(memory)} > max_worker_memory ${mebibytes(limit)}`
      return { reason: 'max_worker_memory', text }
    }
    if (!worker.hasUncaughtError || nowMs < this.#nextUncaughtReplacementAtMs) return undefined
    this.#nextUncaughtReplacementAtMs = nowMs + MIN_UNCAUGHT_REPLACEMENT_INTERVAL_MS
    return { reason: 'uncaught_error', text: 'uncaught error (on_uncaught "recycle")' }
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}
