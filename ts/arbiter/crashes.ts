/**
 * Worker exits that the arbiter did not ask for: the log line about one, and the delay before the
 * next start.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { RestartPolicy } from './policy.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** Logs unexpected exits and applies the restart policy to them. */
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

  /** Logs how a worker exited. */
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

  /**
   * Records an unexpected exit or a failed boot, and logs the delay that it causes before the next
   * start.
   */
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

/** Formats a duration for the log, in seconds with one decimal: `12.3s`. */
export function formatSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`
}
