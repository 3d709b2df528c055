/**
 * Work of the application that goes on after its answers (`waitUntil` of fetch style): a drain
 * waits for it.
 */

const works = new Set<Promise<unknown>>()

/** A drain does not end before this has; it must not reject. */
export function holdUp(work: Promise<unknown>): void {
  works.add(work)
  void work.then(() => works.delete(work))
}

/** Resolves when no such work is left. */
export async function backgroundEnded(): Promise<void> {
  while (works.size > 0) await Promise.all(works)
}
