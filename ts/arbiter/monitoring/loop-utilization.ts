/**
 * The share of time in which the event loop of a worker was busy, between two reports of the
 * worker. Each reader has a meter of its own, so that one does not shorten the time of another.
 */

import type { RuntimeReport } from '../../metrics/worker-report.ts'
import type { WorkerHandle } from '../worker-handle.ts'

type LoopTime = Pick<RuntimeReport, 'activeMs' | 'idleMs'>

/** Between reports that are closer together, the previous share is returned. */
const MIN_WINDOW_MS = 500

/** Measures the workers' event loops for one reader. */
export class LoopUtilizationMeter {
  readonly #measured = new WeakMap<WorkerHandle, LoopTime & { readonly share: number }>()

  /** Returns the share since the previous call, from 0 to 1; at first, since the worker started. */
  measure(worker: WorkerHandle, { activeMs, idleMs }: LoopTime): number {
    const before = this.#measured.get(worker)
    const active = activeMs - (before?.activeMs ?? 0)
    const total = active + idleMs - (before?.idleMs ?? 0)
    if (before !== undefined && total < MIN_WINDOW_MS) return before.share
    const share = total <= 0 ? 0 : Math.min(1, Math.max(0, active / total))
    this.#measured.set(worker, { activeMs, idleMs, share })
    return share
  }
}
