/**
 * A program that exports nothing serves by calling `listen()`, perhaps only after it has connected somewhere. It is
 * waited for as long as it has something under way.
 */

import type { ListenCapture } from '../http/node/listen.ts'

const POLL_INTERVAL_MS = 100
/** So long without anything under way means that nothing will come any more. */
const MAX_IDLE_POLLS = 10

/** What node:cluster keeps for its workers: processes, channels, addresses. A program has more than that under way. */
const CLUSTER_RESOURCES = new Set(['ProcessWrap', 'PipeWrap', 'TCPServerWrap', 'PipeServerWrap'])

/** What keeps the process busy now; to be taken before the application is loaded. */
export type ResourceBaseline = ReadonlyMap<string, number>

export function countResourcesAtStart(): ResourceBaseline {
  return countResources()
}

/** Waits for `listen()` until the program has nothing more to do, or the limit. */
export async function awaitListen(
  captured: ListenCapture,
  baseline: ResourceBaseline,
  limitMs: number,
): Promise<void> {
  let idleRounds = 0
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += POLL_INTERVAL_MS) {
    if ((await captured.waitForServer(POLL_INTERVAL_MS)) !== undefined) return
    idleRounds = isIdle(baseline) ? idleRounds + 1 : 0
    if (idleRounds >= MAX_IDLE_POLLS) return
  }
}

/** Whether the program leaves serving to workers that it has started itself. */
export function hasClusterWorkers(): boolean {
  // Loaded only where an application is waited for.
  const workers: unknown = Reflect.get(process.getBuiltinModule('node:cluster'), 'workers')
  return Object.keys(workers ?? {}).length > 0
}

function isIdle(baseline: ResourceBaseline): boolean {
  const leaves = hasClusterWorkers()
  return [...countResources()].every(([type, count]) => {
    return count <= (baseline.get(type) ?? 0) || (leaves && CLUSTER_RESOURCES.has(type))
  })
}

function countResources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) {
    counts.set(type, (counts.get(type) ?? 0) + 1)
  }
  return counts
}
