/** The part that the reports of the control socket and the status page about a worker share. */

import type { System } from '../process/system.ts'
import type { ArbiterScoreboard } from './board.ts'

/** A worker at one time. Durations are in seconds; what is not known is null. */
export interface WorkerSnapshot {
  readonly pid: number
  readonly slot: number
  readonly generation: number
  readonly uptime: number
  readonly requests: number
  readonly inFlight: number
  readonly connections: number
  /** Time since the event loop last turned. */
  readonly heartbeatAge: number | null
  /** Resident memory in bytes. */
  readonly memory: number | null
}

/** A worker as the arbiter knows it. */
interface KnownWorker {
  readonly pid: number
  readonly slot: number
  readonly generation: { readonly number: number }
  readonly spawnedAtMs: number
}

/** Reads the counters and the process of a worker. */
export function takeWorkerSnapshot(
  system: System,
  scoreboard: ArbiterScoreboard,
  { pid, slot, generation, spawnedAtMs }: KnownWorker,
): WorkerSnapshot {
  const { requests, inFlight, connections, heartbeatAgeMs } = scoreboard.read(slot)
  return {
    pid,
    slot,
    generation: generation.number,
    uptime: (system.now() - spawnedAtMs) / MILLISECONDS,
    requests,
    inFlight,
    connections,
    heartbeatAge: heartbeatAgeMs === undefined ? null : heartbeatAgeMs / MILLISECONDS,
    memory: system.readResidentBytes(pid) ?? null,
  }
}

const MILLISECONDS = 1_000
