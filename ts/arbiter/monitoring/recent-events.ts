/** The latest restarts of workers and reloads, for the status page. */

import type { System } from '../../process/system.ts'
import type { WorkerHandle } from '../worker-handle.ts'
import type { ReloadOutcome, RestartReason } from './lifecycle-counters.ts'

/** A restart of a worker, or a reload. */
export interface RecentEvent {
  /** Time of the event, in seconds since 1970. */
  readonly at: number
  readonly kind: 'restart' | 'reload'
  /** Why the worker was replaced, or how the reload ended. */
  readonly reason: RestartReason | ReloadOutcome
  readonly detail: string
}

/** With more events, the oldest are forgotten. */
export const MAX_EVENTS = 50
const MAX_DETAIL_LENGTH = 200

/** Keeps the latest events. */
export class RecentEvents {
  readonly #system: System
  readonly #events: RecentEvent[] = []

  constructor(system: System) {
    this.#system = system
  }

  /** Returns the events, the latest first. */
  list(): readonly RecentEvent[] {
    return [...this.#events].reverse()
  }

  recordRestart(worker: WorkerHandle, reason: RestartReason): void {
    const { slot, pid } = worker
    const detail = `worker ${slot} (pid: ${pid}) ${worker.describeExit()}`
    this.#add({ kind: 'restart', reason, detail })
  }

  /** Records the end of a reload. `error` is the reason of a failure. */
  recordReload(outcome: ReloadOutcome, { number, error }: { number: number; error: string }): void {
    const detail =
      outcome === 'succeeded'
        ? `all workers have generation ${number}`
        : `the old workers keep serving: ${error}`
    this.#add({ kind: 'reload', reason: outcome, detail })
  }

  #add(event: Omit<RecentEvent, 'at'>): void {
    const [line = ''] = event.detail.split('\n')
    const detail = line.slice(0, MAX_DETAIL_LENGTH)
    this.#events.push({ ...event, detail, at: this.#system.date().getTime() / 1_000 })
    if (this.#events.length > MAX_EVENTS) this.#events.shift()
  }
}
