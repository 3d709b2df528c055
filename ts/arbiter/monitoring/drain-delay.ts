/**
 * The setting `drain_delay`: between TERM and the stop, readiness fails while the server still
 * accepts connections, so that a load balancer removes it first.
 */

import { logLine } from '../../log/log-lines.ts'
import type { Logger } from '../../log/logger.ts'
import type { System } from '../../process/system.ts'
import type { EventQueue } from '../events.ts'
import type { Generation } from '../generation.ts'
import type { Workers } from '../workers.ts'

/** What the delay needs from the arbiter. */
export interface DrainDelaySources {
  readonly log: Logger
  readonly queue: EventQueue
  readonly workers: Workers
  readonly currentGeneration: () => Generation | undefined
  /** Returns whether another arbiter serves at the same addresses. */
  readonly hasSuccessor: () => boolean
  readonly isStopping: () => boolean
}

/** Delays the stop of the server once. */
export class DrainDelay {
  readonly #system: System
  readonly #sources: DrainDelaySources
  #hasBegun = false

  constructor(system: System, sources: DrainDelaySources) {
    this.#system = system
    this.#sources = sources
  }

  /** True from the first TERM on, unless another arbiter serves. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Returns whether the stop has to wait. After the wait, the signal is handled again. */
  deferStop(): boolean {
    const { log, queue, workers, currentGeneration, hasSuccessor, isStopping } = this.#sources
    if (this.#hasBegun || hasSuccessor()) return false
    this.#hasBegun = true
    const delay = currentGeneration()?.config.drain_delay ?? 0
    if (delay === 0 || workers.countServing() === 0) return false
    logLine(log, 'stopDelayed', `${delay}s`)
    for (const { child } of workers.list()) child.send({ type: 'announceStop' })
    this.#system.after(delay * 1_000, () => {
      if (!isStopping()) queue.push({ type: 'signal', signal: 'TERM' })
    })
    return true
  }
}
