/** Heartbeats of workers, compared with the setting `timeout`. */

import type { ArbiterScoreboard, SlotReading } from '../scoreboard/board.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** Returns how long the worker has been silent if that exceeds `timeout`, else undefined. */
export function excessiveSilenceMs(
  worker: WorkerHandle,
  { heartbeatAgeMs }: SlotReading,
  nowMs: number,
): number | undefined {
  const limitMs = worker.generation.config.timeout * 1_000
  if (limitMs === 0 || worker.readyAtMs === undefined) return undefined
  if (nowMs < worker.silenceAllowedUntilMs) return undefined
  const silentMs = heartbeatAgeMs ?? nowMs - worker.readyAtMs
  return silentMs > limitMs ? silentMs : undefined
}

/** Returns the time at which the worker is silent for too long unless a heartbeat comes before. */
export function heartbeatDeadlineMs(
  worker: WorkerHandle,
  scoreboard: ArbiterScoreboard,
  nowMs: number,
): number {
  const limitMs = worker.generation.config.timeout * 1_000
  const isWatched = worker.state === 'serving' || worker.state === 'draining'
  if (limitMs === 0 || worker.readyAtMs === undefined || !isWatched) return Number.POSITIVE_INFINITY
  const silentMs = scoreboard.read(worker.slot).heartbeatAgeMs ?? nowMs - worker.readyAtMs
  return Math.max(nowMs + limitMs - silentMs + 1, worker.silenceAllowedUntilMs)
}
