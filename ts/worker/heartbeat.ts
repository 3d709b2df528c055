/** The heartbeat: says at short intervals that the event loop turns, so that the arbiter notices when it does not. */

import type { System } from '../process/system.ts'
import type { WorkerScoreboard } from '../scoreboard/board.ts'

const MAX_INTERVAL_MS = 1_000
/** So many beats fit into `timeout`: one that is a little late must not look like silence. */
const BEATS_PER_TIMEOUT = 3

/** Whoever wants to know of each beat. */
export interface BeatObserver {
  beat(): void
}

export interface Heartbeat {
  /** From now on each beat is told to this one too. */
  addObserver(follower: BeatObserver): void
}

/** Beats until the process ends. */
export function startHeartbeat(
  system: System,
  board: Pick<WorkerScoreboard, 'beat'>,
  timeoutMs: number,
): Heartbeat {
  const followers: BeatObserver[] = [board]
  const wanted = timeoutMs / BEATS_PER_TIMEOUT
  const intervalMs = timeoutMs > 0 ? Math.min(MAX_INTERVAL_MS, wanted) : MAX_INTERVAL_MS
  board.beat()
  system.every(intervalMs, () => {
    for (const follower of followers) follower.beat()
  })
  return {
    addObserver(follower) {
      followers.push(follower)
      follower.beat()
    },
  }
}
