/**
 * When a worker that ended may be replaced. A death from outside is replaced at once; workers that end by themselves
 * soon after they were ready, or that fail to boot, are replaced after a pause that doubles. Workers that end together,
 * as they do for want of a database, have one pause together. No clock of its own.
 */

/** How a worker came to its end. */
export interface Death {
  readonly slot: number
  /** By KILL or TERM that was not ours: an operator, the kernel's memory killer. */
  readonly fromOutside: boolean
  /** How long it had served; undefined when it never was ready. */
  readonly servedMs: number | undefined
}

/** A worker that served this long has not crashed in a loop. */
export const STABLE_AFTER_MS = 10_000

const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000

// Deaths from outside in one slot that look like a loop after all (a memory limit that each boot runs into).
const OUTSIDE_LIMIT = 5
const OUTSIDE_WINDOW_MS = 5_000

export class RestartPolicy {
  #failures = 0
  #retryAtMs = 0
  readonly #outside = new Map<number, number[]>()

  /** Takes note of an unwanted end; returns the pause that it begins before the next start, 0 for none. */
  record(death: Death, nowMs: number): number {
    if (death.fromOutside && !this.#loops(death.slot, nowMs)) return 0
    const stable = !death.fromOutside && (death.servedMs ?? 0) >= STABLE_AFTER_MS
    if (stable) {
      this.#failures = 0
      return 0
    }
    if (!this.maySpawn(nowMs)) return 0
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
    this.#outside.clear()
  }

  /** When the next worker may be started; in the past when at once. */
  retryAtMs(): number {
    return this.#retryAtMs
  }

  maySpawn(nowMs: number): boolean {
    return nowMs >= this.#retryAtMs
  }

  #loops(slot: number, nowMs: number): boolean {
    const recent = (this.#outside.get(slot) ?? []).filter(
      (atMs) => nowMs - atMs < OUTSIDE_WINDOW_MS,
    )
    recent.push(nowMs)
    this.#outside.set(slot, recent)
    return recent.length >= OUTSIDE_LIMIT
  }
}
