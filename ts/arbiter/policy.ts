/**
 * Decides when a worker that exited unexpectedly may be replaced. After an external kill it is
 * replaced at once. After a crash or a failed boot there is a delay, which doubles each time.
 * Workers that crash together (for example without a database) share one delay. The caller passes
 * the time.
 */

/** An exit that the arbiter did not ask for. */
export interface UnexpectedExit {
  readonly slot: number
  /**
   * True if a KILL or TERM that the arbiter did not send ended the process: from an operator, or
   * from the kernel's out-of-memory killer.
   */
  readonly isExternal: boolean
  /** How long the worker served; undefined if it was never ready. */
  readonly servedMs: number | undefined
}

/** A worker that has served this long is stable: its exit is no crash loop. */
export const STABLE_AFTER_MS = 10_000

const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000

// External kills in one slot within the window that count as a crash loop (a memory limit that
// every boot exceeds).
const MAX_EXTERNAL_EXITS = 5
const EXTERNAL_EXIT_WINDOW_MS = 5_000

/** Counts crashes and computes the delay before the next start. */
export class RestartPolicy {
  #failures = 0
  #retryAtMs = 0
  readonly #externalExitsAtMs = new Map<number, number[]>()

  /** Records an exit. Returns the delay before the next start in milliseconds, 0 for none. */
  recordExit(exit: UnexpectedExit, nowMs: number): number {
    if (exit.isExternal && !this.#isLooping(exit.slot, nowMs)) return 0
    const stable = !exit.isExternal && (exit.servedMs ?? 0) >= STABLE_AFTER_MS
    if (stable) {
      this.#failures = 0
      return 0
    }
    if (!this.canSpawn(nowMs)) return 0
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** this.#failures, MAX_DELAY_MS)
    this.#failures += 1
    this.#retryAtMs = nowMs + delayMs
    return delayMs
  }

  /** Resets the delay to its minimum, because a worker has become stable. */
  recordStable(): void {
    this.#failures = 0
  }

  /** Forgets all failures, because the application or the settings are new. */
  reset(): void {
    this.#failures = 0
    this.#retryAtMs = 0
    this.#externalExitsAtMs.clear()
  }

  /** Returns the time at which the next worker may start; a time in the past means at once. */
  retryAtMs(): number {
    return this.#retryAtMs
  }

  canSpawn(nowMs: number): boolean {
    return nowMs >= this.#retryAtMs
  }

  #isLooping(slot: number, nowMs: number): boolean {
    const recent = (this.#externalExitsAtMs.get(slot) ?? []).filter(
      (atMs) => nowMs - atMs < EXTERNAL_EXIT_WINDOW_MS,
    )
    recent.push(nowMs)
    this.#externalExitsAtMs.set(slot, recent)
    return recent.length >= MAX_EXTERNAL_EXITS
  }
}
