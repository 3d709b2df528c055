/**
 * Waits for a program that exports no application to call `listen()`. It may do so late, after it
 * has connected to a database for example: the wait lasts while the process has active resources
 * (timers, sockets, requests).
 */

import { fstatSync } from 'node:fs'
import { isatty } from 'node:tty'
import type { ListenCapture } from '../http/node/listen.ts'
import { system } from '../process/system.ts'

const POLL_INTERVAL_MS = 100
/**
 * Number of polls in a row without active resources after which the program is considered finished.
 */
const MAX_IDLE_POLLS = 10

/** The type of a pipe, and of a unix socket. */
const PIPE = 'PipeWrap'
const STDOUT_FD = 1
const STDERR_FD = 2

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
  const endsAt = system.now() + limitMs
  while (system.now() < endsAt) {
    if ((await captured.waitForServer(POLL_INTERVAL_MS)) !== undefined) return
    idleRounds = isIdle(baseline) ? idleRounds + 1 : 0
    if (idleRounds >= MAX_IDLE_POLLS) return
  }
}

function isIdle(baseline: ResourceBaseline): boolean {
  const own = countOwnResources()
  return [...countResources()].every(([type, count]) => {
    return count <= Math.max(baseline.get(type) ?? 0, own.get(type) ?? 0)
  })
}

/**
 * Counts what a worker has open that does not keep a program alive: the channel to the arbiter, and
 * the standard streams, which are open once the program has printed something.
 */
function countOwnResources(): Map<string, number> {
  return countTypes([PIPE, ...[STDOUT_FD, STDERR_FD].flatMap(resourceTypeOf)])
}

function resourceTypeOf(fd: number): string[] {
  if (isatty(fd)) return ['TTYWrap']
  const stats = fstatSync(fd)
  return stats.isFIFO() || stats.isSocket() ? [PIPE] : []
}

function countResources(): Map<string, number> {
  return countTypes(process.getActiveResourcesInfo())
}

function countTypes(types: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1)
  return counts
}
