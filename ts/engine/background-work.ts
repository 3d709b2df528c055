/**
 * Work of the application that a drain waits for although no client does: promises passed to
 * `waitUntil`, and handlers whose clients have disconnected (setting
 * `asgi_disconnect_grace_period`).
 */

import { system } from '../process/system.ts'

const works = new Set<Promise<unknown>>()

/** Adds a promise that a drain waits for. The promise must not reject. */
export function holdUp(work: Promise<unknown>): void {
  works.add(work)
  void work.then(() => works.delete(work))
}

/** Maximum number of handlers that are remembered: each one keeps its request in memory. */
const MAX_ABANDONED = 1_000
/** Interval between two checks, during a drain, whether handlers have finished. */
const POLL_INTERVAL_MS = 20

interface AbandonedHandler {
  readonly isFinished: () => boolean
  /** A drain waits no longer than this for the handler. */
  readonly untilMs: number
}

let graceMs = 0
let abandoned: AbandonedHandler[] = []

/** Sets how long after the disconnect of its client a drain waits for a handler. */
export function setDisconnectGrace(ms: number): void {
  graceMs = ms
}

/** Notes that a client has disconnected while a handler had its request. */
export function abandonHandler(isFinished: () => boolean): void {
  if (graceMs === 0 || isFinished()) return
  const nowMs = system.now()
  if ((abandoned[0]?.untilMs ?? nowMs) < nowMs || abandoned.length >= MAX_ABANDONED) {
    abandoned = listUnfinished().slice(1 - MAX_ABANDONED)
  }
  abandoned.push({ isFinished, untilMs: nowMs + graceMs })
}

/** Resolves when no such work is left. */
export async function backgroundEnded(): Promise<void> {
  while (listUnfinished().length > 0) await system.sleep(POLL_INTERVAL_MS)
  while (works.size > 0) await Promise.all(works)
}

function listUnfinished(): AbandonedHandler[] {
  const nowMs = system.now()
  return abandoned.filter(({ isFinished, untilMs }) => untilMs > nowMs && !isFinished())
}
