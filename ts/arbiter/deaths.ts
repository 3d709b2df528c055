/** Ends that nobody asked for: what the log says of one, and how long the next start waits because of it. */

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

  /** Says how a worker has ended, and takes note of it. */
  lament(worker: WorkerHandle): void {
    const line = `Worker (${worker.toLog()}) ${worker.exitToLog()}`
    if (worker.exit?.signal === 'KILL') {
      this.#log.error(worker.aborted ? `${line}!` : `${line}! ${this.#whyKilled()}`)
    } else if (worker.exit?.signal === 'ABRT' && !worker.aborted) {
      this.#log.error(`${line}! Perhaps its JavaScript heap is full; what it wrote last says so`)
    } else if (worker.exit?.signal === 'TERM') this.#log.info(`${line}!`)
    else if (worker.exit?.signal != null) this.#log.warning(`${line}!`)
    else this.#log.error(line)
    this.record(worker, worker.endedFromOutside() && !worker.aborted)
  }

  /** Takes note of an unwanted end or a failed boot, and says when that delays the next start. */
  record({ slot, readyAtMs }: WorkerHandle, fromOutside: boolean): void {
    const nowMs = this.#system.now()
    const servedMs = readyAtMs === undefined ? undefined : nowMs - readyAtMs
    const delayMs = this.policy.record({ slot, fromOutside, servedMs }, nowMs)
    if (delayMs > 0) {
      this.#log.warning(`Workers end too soon; the next one starts in ${seconds(delayMs)}`)
    }
  }

  #whyKilled(): string {
    const kills = this.#system.memoryKills()
    const before = this.#memoryKills
    this.#memoryKills = kills
    if (kills === undefined || before === undefined || kills <= before)
      return 'Perhaps out of memory?'
    return 'The kernel ended it: the memory of its control group is used up'
  }
}

/** A duration as it stands in the log. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`
}
