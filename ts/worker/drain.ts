/**
 * The graceful end of a worker: waits until nothing is in flight, then lets the application shut
 * down.
 */

import { backgroundEnded } from '../engine/background-work.ts'
import { logLine, logThrown } from '../log/log-lines.ts'
import { IDLE_DRAIN_MS } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { AppSigterm } from './app-sigterm.ts'
import type { Channel } from './channel.ts'
import type { WorkerParts } from './parts.ts'

/** Interval between two checks whether a worker that restarts is idle. */
const IDLE_CHECK_MS = 10
/**
 * Number of idle checks in a row that make a worker idle: a new connection may send its request a
 * little later.
 */
const MIN_IDLE_CHECKS = 4

/** How long a drain lasts, and what it waits for. */
export interface DrainPlan {
  /** Time limit of the drain; the worker enforces it. */
  readonly graceMs: number
  /** How long idle connections are kept. */
  readonly idleMs: number
  /** The application's own SIGTERM listeners, if it has any. */
  readonly appSigterm?: AppSigterm | undefined
  /** Ends the drain as soon as no request is in flight, whatever connections are open. */
  readonly endsWhenIdle?: boolean
}

/** One drain of the worker, by its plan. */
export class Drain {
  readonly #system: System
  readonly #channel: Channel
  readonly #parts: WorkerParts
  readonly #plan: DrainPlan

  constructor(
    system: System,
    { channel, parts, plan }: { channel: Channel; parts: WorkerParts; plan: DrainPlan },
  ) {
    this.#system = system
    this.#channel = channel
    this.#parts = parts
    this.#plan = plan
  }

  get graceMs(): number {
    return this.#plan.graceMs
  }

  /** Stops accepting at once; resolves when the process may exit. */
  async run(): Promise<void> {
    const { engine, extraServers, log, lifespan, oneWorker } = this.#parts
    const { graceMs, idleMs, appSigterm, endsWhenIdle } = this.#plan
    const idle = endsWhenIdle === true ? this.#waitUntilIdle() : undefined
    // Silent: an engine that fails to drain must not keep the process alive.
    const drained = engine?.drain(graceMs, idleMs).catch(() => {})
    const finished = Promise.all([drained, extraServers?.drain(graceMs)])
    await (idle === undefined ? finished : Promise.race([finished, idle]))
    const takeovers = engine?.counters().takeovers
    if (log !== undefined && takeovers !== undefined) logLine(log, 'loopTakeovers', takeovers)
    await Promise.all([backgroundEnded(), oneWorker?.waitUntilEnded()])
    if (log !== undefined) await lifespan?.shutdown(log)
    // A SIGTERM listener of the application closes the framework itself.
    if (appSigterm === undefined) await this.#closeFramework()
    if (appSigterm !== undefined) {
      // Only what belongs to the application may keep the process alive from here on.
      engine?.close()
      this.#channel.unref()
      await appSigterm.waitUntilDone()
    }
  }

  /** Closes idle connections sooner: no other worker replaces this one. */
  shortenIdleTime(): void {
    this.#parts.engine?.hasten(IDLE_DRAIN_MS)
  }

  /** Waits no longer for the application's SIGTERM listeners. */
  stopWaitingForApp(): void {
    this.#plan.appSigterm?.stopWaiting()
  }

  /** Calls the framework's own hooks, and waits until it has closed its resources. */
  async #closeFramework(): Promise<void> {
    const { framework, log } = this.#parts
    try {
      await framework?.close?.()
    } catch (thrown) {
      if (log !== undefined) logThrown(log, { name: 'shutdownFailed', thrown })
    }
  }

  #waitUntilIdle(): Promise<void> {
    let idleChecks = 0
    return new Promise((done) => {
      this.#system.every(IDLE_CHECK_MS, () => {
        idleChecks = this.#parts.engine?.counters().inFlight === 0 ? idleChecks + 1 : 0
        if (idleChecks === MIN_IDLE_CHECKS) done()
      })
    })
  }
}
