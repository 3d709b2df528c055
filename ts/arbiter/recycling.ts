/** When a worker has done enough and gets a successor: by requests, age, memory, or an error that nobody caught. */

import type { System } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { seconds } from './crashes.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** What one worker may do, with its share of chance, so that workers of one age do not leave at one time. */
export interface Allowance {
  /** 0 for as many as come. */
  readonly requests: number
  /** 0 for ever. */
  readonly lifetimeMs: number
}

/** An application that fails at each request must not keep the machine busy with boots. */
const UNCAUGHT_PAUSE_MS = 5_000

export function allowanceOf(system: System, config: Config): Allowance {
  const extra = (most: number) => system.random() * most
  const { max_requests, max_worker_lifetime } = config
  return {
    requests:
      max_requests === 0 ? 0 : max_requests + Math.floor(extra(config.max_requests_jitter + 1)),
    lifetimeMs:
      max_worker_lifetime === 0
        ? 0
        : (max_worker_lifetime + extra(config.max_worker_lifetime_jitter)) * 1_000,
  }
}

export class Recycling {
  readonly #system: System
  #nextUncaughtMs = 0

  constructor(system: System) {
    this.#system = system
  }

  /** Why the worker gets a successor now; undefined when it need not. */
  reason(worker: WorkerHandle, requests: number): string | undefined {
    const { allowance, generation } = worker
    const nowMs = this.#system.now()
    if (allowance.requests > 0 && requests >= allowance.requests) {
      return `${requests} requests >= max_requests ${allowance.requests}`
    }
    const servedMs = nowMs - (worker.readyAtMs ?? nowMs)
    if (allowance.lifetimeMs > 0 && servedMs >= allowance.lifetimeMs) {
      return `served ${seconds(servedMs)} >= max_worker_lifetime ${seconds(allowance.lifetimeMs)}`
    }
    const limit = generation.config.max_worker_memory
    const memory = limit === 0 ? 0 : (this.#system.residentBytes(worker.pid) ?? 0)
    if (memory > limit) {
      return `resident memory ${mebibytes(memory)} > max_worker_memory ${mebibytes(limit)}`
    }
    if (!worker.spoiled || nowMs < this.#nextUncaughtMs) return undefined
    this.#nextUncaughtMs = nowMs + UNCAUGHT_PAUSE_MS
    return 'an error was not caught (on_uncaught "recycle")'
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}
