/**
 * When a worker that ended may be replaced. A death from outside is replaced at once; workers that end by themselves
 * soon after they were ready, or that fail to boot, are replaced after a pause that doubles. Workers that end together,
 * as they do for want of a database, have one pause together. No clock of its own.
 */

/** How a worker came to its end. */
export interface UnexpectedExit {
  readonly slot: number
  /** By KILL or TERM that was not ours: an operator, the kernel's memory killer. */
  readonly isExternal: boolean
  /** How long it had served; undefined when it never was ready. */
  readonly servedMs: number | undefined
}

/** A worker that served this long has not crashed in a loop. */
export const STABLE_AFTER_MS = 10_000

const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000

// Deaths from outside in one slot that look like a loop after all (a memory limit that each boot runs into).
const MAX_EXTERNAL_EXITS = 5
const EXTERNAL_EXIT_WINDOW_MS = 5_000

export class RestartPolicy {
  #failures = 0
  #retryAtMs = 0
  readonly #externalExitsAtMs = new Map<number, number[]>()

  /** Takes note of an unwanted end; returns the pause that it begins before the next start, 0 for none. */
  recordExit(death: UnexpectedExit, nowMs: number): number {
    if (death.isExternal && !this.#isLooping(death.slot, nowMs)) return 0
    const stable = !death.isExternal && (death.servedMs ?? 0) >= STABLE_AFTER_MS
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

  /** A worker has served long enough: the next failure starts again with the shortest pause. */
  recordStable(): void {
    this.#failures = 0
  }

  /** A new application or new settings deserve a fresh start. */
  reset(): void {
    this.#failures = 0
    this.#retryAtMs = 0
    this.#externalExitsAtMs.clear()
  }

  /** When the next worker may be started; in the past when at once. */
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
