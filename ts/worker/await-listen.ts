/**
 * Waits for a program that exports no application to call `listen()`. It may do so late, after it
 * has connected to a database for example: the wait lasts while the process has active resources
 * (timers, sockets, requests).
 */

import type { ListenCapture } from '../http/node/listen.ts'

const POLL_INTERVAL_MS = 100
/**
 * Number of polls in a row without active resources after which the program is considered finished.
 */
const MAX_IDLE_POLLS = 10

/**
 * The resource types that node:cluster holds for its workers: processes, channels, addresses. They
 * alone do not show that the primary process is going to call `listen()` itself.
 */
const CLUSTER_RESOURCES = new Set(['ProcessWrap', 'PipeWrap', 'TCPServerWrap', 'PipeServerWrap'])

/** The number of active resources by type. Take it before the application is loaded. */
export type ResourceBaseline = ReadonlyMap<string, number>

/** Counts the resources that are active before the application is loaded. */
export function countResourcesAtStart(): ResourceBaseline {
  return countResources()
}

/**
 * Waits until the program has called `listen()`, has no active resources left, or `limitMs` has
 * passed.
 */
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

/** Whether the program has started workers of its own with node:cluster. */
export function hasClusterWorkers(): boolean {
  // Loaded only here: most workers do not need node:cluster.
  const workers: unknown = Reflect.get(process.getBuiltinModule('node:cluster'), 'workers')
  return Object.keys(workers ?? {}).length > 0
}

function isIdle(baseline: ResourceBaseline): boolean {
  const isPrimary = hasClusterWorkers()
  return [...countResources()].every(([type, count]) => {
    return count <= (baseline.get(type) ?? 0) || (isPrimary && CLUSTER_RESOURCES.has(type))
  })
}

function countResources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) {
    counts.set(type, (counts.get(type) ?? 0) + 1)
  }
  return counts
}
