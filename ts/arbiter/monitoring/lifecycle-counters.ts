/**
 * What the arbiter itself counts: restarts, reloads, boots and drains of workers, and the processor
 * time of workers that have exited. An upgrade passes the counters on, so that none decreases.
 */

import {
  createFamily,
  type Family,
  histogramSamples,
  type Labels,
  sampleOf,
} from '../../metrics/families.ts'
import type { System } from '../../process/system.ts'
import { type ProcessUsage, readProcessUsage } from '../../process/usage.ts'
import type { Generation } from '../generation.ts'
import type { RecycleReason } from '../recycling.ts'
import type { WorkerHandle } from '../worker-handle.ts'

/** Why a worker was replaced. */
export type RestartReason =
  | RecycleReason
  /** The worker exited without a request of the arbiter. */
  | 'crash'
  /** The application could not be loaded. */
  | 'boot_failure'
  /** The event loop was blocked for longer than `timeout`. */
  | 'timeout'
  /** Another process sent the worker a signal to stop. */
  | 'signal'
  | 'reload'
  /** The code changed (setting `reload`). */
  | 'code_change'

const RESTART_REASONS: readonly RestartReason[] = [
  'crash',
  'boot_failure',
  'timeout',
  'signal',
  'reload',
  'code_change',
  'max_requests',
  'max_worker_lifetime',
  'max_worker_memory',
  'uncaught_error',
]

/** How a reload ended. */
export type ReloadOutcome = 'succeeded' | 'failed'

const RELOAD_OUTCOMES: readonly ReloadOutcome[] = ['succeeded', 'failed']

/** Bounds of the time that workers need to boot and to drain, in seconds. */
const BOUNDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120] as const

interface Durations {
  readonly counts: number[]
  sum: number
}

/** The counters in the form in which one arbiter passes them to the next. */
export interface LifecycleTotals {
  readonly restarts: Partial<Record<RestartReason, number>>
  readonly reloads: Partial<Record<ReloadOutcome, number>>
  readonly boots: Durations
  readonly drains: Durations
  readonly userSeconds: number
  readonly systemSeconds: number
}

/** Counts the events of the workers' lives. */
export class LifecycleCounters {
  readonly #system: System
  readonly #restarts = new Map<RestartReason, number>()
  readonly #reloads = new Map<ReloadOutcome, number>()
  readonly #boots: Durations = noDurations()
  readonly #drains: Durations = noDurations()
  readonly #usage = new Map<WorkerHandle, ProcessUsage>()
  #exitedUser = 0
  #exitedSystem = 0

  constructor(system: System) {
    this.#system = system
  }

  recordReady({ spawnedAtMs, readyAtMs = spawnedAtMs }: WorkerHandle): void {
    addDuration(this.#boots, (readyAtMs - spawnedAtMs) / 1_000)
  }

  recordReload(outcome: ReloadOutcome): void {
    this.#reloads.set(outcome, (this.#reloads.get(outcome) ?? 0) + 1)
  }

  /**
   * Records the exit of a worker. `current` is the generation that new workers get. Returns why the
   * worker is replaced; undefined if it is not.
   */
  recordExit(worker: WorkerHandle, current: Generation | undefined): RestartReason | undefined {
    if (worker.stoppingSinceMs !== undefined)
      addDuration(this.#drains, (this.#system.now() - worker.stoppingSinceMs) / 1_000)
    const reason = findRestartReason(worker, current)
    if (reason !== undefined) this.#restarts.set(reason, (this.#restarts.get(reason) ?? 0) + 1)
    const usage = this.#usage.get(worker)
    this.#usage.delete(worker)
    this.#exitedUser += usage?.userSeconds ?? 0
    this.#exitedSystem += usage?.systemSeconds ?? 0
    return reason
  }

  /** Reads what the workers use, so that it is known after their exit. */
  readUsage(workers: readonly WorkerHandle[]): ReadonlyMap<WorkerHandle, ProcessUsage> {
    for (const worker of workers) {
      const usage = readProcessUsage(worker.pid)
      // The kernel has freed the memory of a process that is exiting, but not yet its times.
      if (usage !== undefined) this.#usage.set(worker, usage)
    }
    return this.#usage
  }

  /** Returns the processor time of workers that have exited, in user mode and in the kernel. */
  get exitedSeconds(): { readonly user: number; readonly system: number } {
    return { user: this.#exitedUser, system: this.#exitedSystem }
  }

  /** Returns the number of reloads by outcome. */
  get reloads(): Readonly<Record<ReloadOutcome, number>> {
    const count = (outcome: ReloadOutcome) => this.#reloads.get(outcome) ?? 0
    return { succeeded: count('succeeded'), failed: count('failed') }
  }

  families(): Family[] {
    const counts = <Name extends string>(
      names: readonly Name[],
      counted: ReadonlyMap<Name, number>,
      labelsOf: (name: Name) => Labels,
    ) => names.map((name) => ({ labels: labelsOf(name), value: counted.get(name) ?? 0 }))
    const restarts = counts(RESTART_REASONS, this.#restarts, (reason) => ({ reason }))
    const reloads = counts(RELOAD_OUTCOMES, this.#reloads, (outcome) => ({ outcome }))
    return [
      createFamily(
        'workerRestarts',
        restarts.map(({ value, labels }) => sampleOf('workerRestarts', value, labels)),
      ),
      createFamily('workerBootDuration', histogramSamples({ bounds: BOUNDS, ...this.#boots })),
      createFamily('workerDrainDuration', histogramSamples({ bounds: BOUNDS, ...this.#drains })),
      createFamily(
        'reloads',
        reloads.map(({ value, labels }) => sampleOf('reloads', value, labels)),
      ),
    ]
  }

  /** Returns the counters for the next arbiter, with the processor time of running workers. */
  totals(): LifecycleTotals {
    const running = [...this.#usage.values()]
    return {
      restarts: Object.fromEntries(this.#restarts),
      reloads: Object.fromEntries(this.#reloads),
      boots: this.#boots,
      drains: this.#drains,
      userSeconds: running.reduce((sum, { userSeconds }) => sum + userSeconds, this.#exitedUser),
      systemSeconds: running.reduce(
        (sum, { systemSeconds }) => sum + systemSeconds,
        this.#exitedSystem,
      ),
    }
  }

  /** Continues the counters of an earlier arbiter. */
  continueFrom(earlier: LifecycleTotals): void {
    for (const reason of RESTART_REASONS)
      this.#restarts.set(
        reason,
        (earlier.restarts[reason] ?? 0) + (this.#restarts.get(reason) ?? 0),
      )
    for (const outcome of RELOAD_OUTCOMES)
      this.#reloads.set(
        outcome,
        (earlier.reloads[outcome] ?? 0) + (this.#reloads.get(outcome) ?? 0),
      )
    addDurations(this.#boots, earlier.boots)
    addDurations(this.#drains, earlier.drains)
    this.#exitedUser += earlier.userSeconds
    this.#exitedSystem += earlier.systemSeconds
  }
}

/** Returns why a worker that has exited is replaced; undefined if it is not. */
function findRestartReason(
  worker: WorkerHandle,
  current: Generation | undefined,
): RestartReason | undefined {
  if (worker.readyAtMs === undefined && worker.bootFailure !== undefined) return 'boot_failure'
  if (worker.wasAborted) return 'timeout'
  if (worker.recycleReason !== undefined) return worker.recycleReason
  if (worker.isRestarting) return 'code_change'
  if (worker.stopSignal !== undefined) return 'signal'
  if (worker.stoppingSinceMs === undefined) return 'crash'
  // The arbiter has asked a current worker to stop: it wants fewer workers, or none.
  return worker.generation === current ? undefined : 'reload'
}

function noDurations(): Durations {
  return { counts: Array.from({ length: BOUNDS.length + 1 }, () => 0), sum: 0 }
}

function addDuration(durations: Durations, seconds: number): void {
  const found = BOUNDS.findIndex((bound) => seconds <= bound)
  const bucket = found < 0 ? BOUNDS.length : found
  durations.counts[bucket] = (durations.counts[bucket] ?? 0) + 1
  durations.sum += seconds
}

function addDurations(durations: Durations, more: Durations): void {
  for (const index of durations.counts.keys())
    durations.counts[index] = (durations.counts[index] ?? 0) + (more.counts[index] ?? 0)
  durations.sum += more.sum
}
