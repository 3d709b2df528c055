/**
 * Work that the application continues after its responses (`waitUntil` of the fetch style). A
 * drain waits for it.
 */

const works = new Set<Promise<unknown>>()

/** Adds a promise that a drain waits for. The promise must not reject. */
export function holdUp(work: Promise<unknown>): void {
  works.add(work)
  void work.then(() => works.delete(work))
}

/** Resolves when no such work is left. */
export async function backgroundEnded(): Promise<void> {
  while (works.size > 0) await Promise.all(works)
}
