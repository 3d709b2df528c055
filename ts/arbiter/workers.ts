/** The set of running workers, ordered by age. */

import type { WorkerHandle } from './worker-handle.ts'

/** The workers whose processes have not exited. */
export class Workers {
  readonly #workers = new Set<WorkerHandle>()

  get size(): number {
    return this.#workers.size
  }

  add(worker: WorkerHandle): void {
    this.#workers.add(worker)
  }

  remove(worker: WorkerHandle): void {
    this.#workers.delete(worker)
  }

  /** Returns all workers, the oldest first. The copy allows changes to the set during iteration. */
  list(): WorkerHandle[] {
    return [...this.#workers]
  }

  live(): WorkerHandle[] {
    return this.list().filter((worker) => worker.isLive())
  }

  countServing(): number {
    return this.list().filter(({ state }) => state === 'serving').length
  }

  /** Returns the lowest slot that is free, or undefined if all are taken. */
  freeSlot(slots: number): number | undefined {
    const taken = new Set(this.list().map(({ slot }) => slot))
    for (let slot = 1; slot <= slots; slot += 1) if (!taken.has(slot)) return slot
    return undefined
  }
}
