/** Ends that nobody asked for: what the log says of one, and how long the next start waits because of it. */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { RestartPolicy } from './policy.ts'
import type { WorkerHandle } from './worker-handle.ts'

export class Crashes {
  readonly policy = new RestartPolicy()
  readonly #system: System
  readonly #log: Logger
  #oomKillCount: number | undefined

  constructor(system: System, log: Logger) {
    this.#system = system
    this.#log = log
    this.#oomKillCount = system.countOomKills()
  }

  /** Says how a worker has ended. */
  logExit(worker: WorkerHandle): void {
    const { pid, wasAborted, exit } = worker
    const signal = exit?.signal ?? undefined
    if (signal === 'KILL')
      logLine(this.#log, wasAborted ? 'workerKilled' : this.#killLineName(), pid)
    else if (signal === 'ABRT' && !wasAborted) logLine(this.#log, 'workerHeapFull', pid)
    else if (signal === 'TERM') logLine(this.#log, 'workerTerminated', pid)
    else if (signal !== undefined) logLine(this.#log, 'workerKilledBySignal', pid, signal)
    else logLine(this.#log, 'workerExited', pid, worker.describeExit())
  }

  /** Takes note of an unwanted end or a failed boot, and says when that delays the next start. */
  recordExit({ slot, readyAtMs }: WorkerHandle, isExternal: boolean): void {
    const nowMs = this.#system.now()
    const servedMs = readyAtMs === undefined ? undefined : nowMs - readyAtMs
    const delayMs = this.policy.recordExit({ slot, isExternal, servedMs }, nowMs)
    if (delayMs > 0) {
      logLine(this.#log, 'restartDelayed', formatSeconds(delayMs))
    }
  }

  #killLineName(): 'workerKilledExternally' | 'workerKilledByOom' {
    const kills = this.#system.countOomKills()
    const before = this.#oomKillCount
    this.#oomKillCount = kills
    const isCounted = kills !== undefined && before !== undefined && kills > before
    return isCounted ? 'workerKilledByOom' : 'workerKilledExternally'
  }
}

/** A duration as it stands in the log. */
export function formatSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`
}
