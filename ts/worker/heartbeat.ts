/** The heartbeat: a regular sign that the event loop turns. The arbiter notices when it stops. */

import type { System } from '../process/system.ts'
import type { WorkerScoreboard } from '../scoreboard/board.ts'

const MAX_INTERVAL_MS = 1_000
/** Number of beats within `timeout`: a single late beat must not look like a blocked event loop. */
const BEATS_PER_TIMEOUT = 3

/** Receives each beat. */
export interface BeatObserver {
  beat(): void
}

/** A running heartbeat. */
export interface Heartbeat {
  /** Sends one beat to the observer now, and each later beat. */
  addObserver(observer: BeatObserver): void
}

/**
 * Starts to beat; the heartbeat lasts until the process exits. `timeoutMs` is 0 if the setting
 * `timeout` is off.
 */
export function startHeartbeat(
  system: System,
  board: Pick<WorkerScoreboard, 'beat'>,
  timeoutMs: number,
): Heartbeat {
  const observers: BeatObserver[] = [board]
  const wanted = timeoutMs / BEATS_PER_TIMEOUT
  const intervalMs = timeoutMs > 0 ? Math.min(MAX_INTERVAL_MS, wanted) : MAX_INTERVAL_MS
  board.beat()
  system.every(intervalMs, () => {
    for (const observer of observers) observer.beat()
  })
  return {
    addObserver(observer) {
      observers.push(observer)
      observer.beat()
    },
  }
}
