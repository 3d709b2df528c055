/** Ends that nobody asked for: what the log says of one, and how long the next start waits because of it. */

import { say } from '../log/log-lines.ts'
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
    if (signal === 'KILL') say(this.#log, aborted ? 'killed' : this.#whyKilled(), pid)
    else if (signal === 'ABRT' && !aborted) say(this.#log, 'heapFull', pid)
    else if (signal === 'TERM') say(this.#log, 'endedByTerm', pid)
    else if (signal !== undefined) say(this.#log, 'endedBySignal', pid, signal)
    else say(this.#log, 'exited', pid, worker.exitToLog())
  }

  /** Takes note of an unwanted end or a failed boot, and says when that delays the next start. */
  record({ slot, readyAtMs }: WorkerHandle, fromOutside: boolean): void {
    const nowMs = this.#system.now()
    const servedMs = readyAtMs === undefined ? undefined : nowMs - readyAtMs
    const delayMs = this.policy.record({ slot, fromOutside, servedMs }, nowMs)
    if (delayMs > 0) {
      say(this.#log, 'endsTooSoon', seconds(delayMs))
    }
  }

  #whyKilled(): 'killedFromOutside' | 'killedForMemory' {
    const kills = this.#system.memoryKills()
    const before = this.#memoryKills
    this.#memoryKills = kills
    const isCounted = kills !== undefined && before !== undefined && kills > before
    return isCounted ? 'killedForMemory' : 'killedFromOutside'
  }
}

/** A duration as it stands in the log. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`
}
