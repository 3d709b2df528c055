/** Ends that nobody asked for: what the log says of one, and how long the next start waits because of it. */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { RestartPolicy } from './policy.ts'
import type { WorkerHandle } from './worker-handle.ts'

export class Deaths {
  readonly policy = new RestartPolicy()
  readonly #system: System
  readonly #log: Logger
  #memoryKills: number | undefined

  constructor(system: System, log: Logger) {
    this.#system = system
    this.#log = log
    this.#memoryKills = system.memoryKills()
  }

  /** Says how a worker has ended. */
  say(worker: WorkerHandle): void {
    const { pid, aborted, exit } = worker
    const signal = exit?.signal ?? undefined
    if (signal === 'KILL') logLine(this.#log, aborted ? 'workerKilled' : this.#whyKilled(), pid)
    else if (signal === 'ABRT' && !aborted) logLine(this.#log, 'workerHeapFull', pid)
    else if (signal === 'TERM') logLine(this.#log, 'workerTerminated', pid)
    else if (signal !== undefined) logLine(this.#log, 'workerKilledBySignal', pid, signal)
    else logLine(this.#log, 'workerExited', pid, worker.exitToLog())
  }

  /** Takes note of an unwanted end or a failed boot, and says when that delays the next start. */
  record({ slot, readyAtMs }: WorkerHandle, fromOutside: boolean): void {
    const nowMs = this.#system.now()
    const servedMs = readyAtMs === undefined ? undefined : nowMs - readyAtMs
    const delayMs = this.policy.record({ slot, fromOutside, servedMs }, nowMs)
    if (delayMs > 0) {
      logLine(this.#log, 'restartDelayed', seconds(delayMs))
    }
  }

  #whyKilled(): 'workerKilledExternally' | 'workerKilledByOom' {
    const kills = this.#system.memoryKills()
    const before = this.#memoryKills
    this.#memoryKills = kills
    const isCounted = kills !== undefined && before !== undefined && kills > before
    return isCounted ? 'workerKilledByOom' : 'workerKilledExternally'
  }
}

/** A duration as it stands in the log. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`
}
