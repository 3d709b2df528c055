/** The set of workers, by age and slot. No input or output. */

import type { WorkerHandle } from './worker-handle.ts'

export class Workers {
  readonly #all = new Set<WorkerHandle>()

  get size(): number {
    return this.#all.size
  }

  add(worker: WorkerHandle): void {
    this.#all.add(worker)
  }

  remove(worker: WorkerHandle): void {
    this.#all.delete(worker)
  }

  /** All of them, the oldest first. A copy: the set may change while it is walked. */
  list(): WorkerHandle[] {
    return [...this.#all]
  }

  live(): WorkerHandle[] {
    return this.list().filter((worker) => worker.isLive())
  }

  /** The lowest slot that nobody has; undefined when all are taken. */
  freeSlot(slots: number): number | undefined {
    const taken = new Set(this.list().map(({ slot }) => slot))
    for (let slot = 1; slot <= slots; slot += 1) if (!taken.has(slot)) return slot
    return undefined
  }
}
