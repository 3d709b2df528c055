/**
 * A worker as the arbiter sees it: its process, its state and its timestamps. Decisions are made
 * elsewhere.
 */

import type { BlockReport, WorkerMessage } from '../messages.ts'
import type { Child, ChildExit } from '../process/system.ts'
import { type SignalName, WORKER_SIGNALS } from '../signals.ts'
import type { Generation } from './generation.ts'
import type { RecycleReason, WorkerLimits } from './recycling.ts'
import type { WorkerState } from './states.ts'

/** Why a worker failed to boot, as the worker reports it or the arbiter sees it. */
export interface BootFailure {
  readonly message: string
  readonly exitStatus: number
}

/** Exit status of a worker whose module exports no application (Gunicorn's `APP_LOAD_ERROR`). */
const APP_LOAD_EXIT_STATUS = 4

/** Returns Gunicorn's reason for a start that has failed, for the log. */
export function describeFailedStart({ exitStatus }: BootFailure): string {
  return exitStatus === APP_LOAD_EXIT_STATUS ? 'App failed to load.' : 'Worker failed to boot.'
}

type WorkerReportType = 'uncaughtError' | 'canLead' | 'stoppedLeading'

/** State of one worker in the arbiter. */
export class WorkerHandle {
  readonly slot: number
  /** Ordinal number among all workers ever started: the lower, the older. */
  readonly age: number
  readonly pid: number
  readonly child: Child
  /** Settings and sockets that the worker was started with. */
  readonly generation: Generation
  readonly limits: WorkerLimits
  readonly spawnedAtMs: number
  state: WorkerState = 'booting'
  readyAtMs: number | undefined
  stoppingSinceMs: number | undefined
  /** Signal by which another process asked the worker to stop. */
  stopSignal: SignalName | undefined
  /** Number of requests that have begun, as of the latest check. */
  startedRequests = 0
  lastRequestAtMs: number | undefined
  /** Time at which the event `deadlinePassed` comes. */
  deadlineMs: number | undefined
  /** True once the worker has reached one of its limits; it serves until a successor is ready. */
  needsReplacement = false
  /** The limit that `needsReplacement` is about. */
  recycleReason: RecycleReason | undefined
  /** True once the worker's code has changed: it exits soon, and its replacement waits for that. */
  isRestarting = false
  /** True once the application has thrown an error that it did not catch. */
  hasUncaughtError = false
  /** True while the worker has work that one worker does, and can begin or has begun it. */
  canLead = false
  /** True once the arbiter has chosen the worker for that work. */
  wasChosen = false
  /** True once the worker has served long enough that its exit is no crash loop. */
  isStable = false
  /**
   * True once the arbiter has sent ABRT: the exit counts as a crash, whatever signal ends the
   * process.
   */
  wasAborted = false
  bootFailure: BootFailure | undefined
  /** Until then the worker may be silent: a diagnosis stops its event loop. */
  silenceAllowedUntilMs = 0
  /** Latest report of the watcher, with the time of its arrival. */
  blockReport: (BlockReport & { readonly atMs: number; readonly isFinal: boolean }) | undefined
  exit: ChildExit | undefined

  constructor(fields: {
    slot: number
    age: number
    child: Child
    generation: Generation
    allowance: WorkerLimits
    spawnedAtMs: number
  }) {
    this.slot = fields.slot
    this.age = fields.age
    this.child = fields.child
    this.pid = fields.child.pid ?? 0
    this.generation = fields.generation
    this.limits = fields.allowance
    this.spawnedAtMs = fields.spawnedAtMs
  }

  /** Records what the worker reports about itself. */
  recordReport({ type }: Extract<WorkerMessage, { type: WorkerReportType }>): void {
    if (type === 'uncaughtError') this.hasUncaughtError = true
    else this.canLead = type === 'canLead'
  }

  /** Returns whether the worker does the work of one worker now. */
  isLeading(): boolean {
    return this.wasChosen && this.canLead
  }

  /** Returns whether the worker serves or is about to. */
  isLive(): boolean {
    return this.state === 'booting' || this.state === 'serving'
  }

  /** Describes the exit for the log. */
  describeExit(): string {
    const { code = null, signal = null, error } = this.exit ?? {}
    if (error !== undefined) return `it could not be started: ${error}`
    return signal === null ? `exited with code ${code}` : `was sent SIG${signal}`
  }

  /**
   * Returns whether a signal ended the process that no program survives: from an operator, or from
   * the kernel for lack of memory.
   */
  wasKilledExternally(): boolean {
    return EXTERNAL_KILL_SIGNALS.has(this.exit?.signal ?? '')
  }
}

// A signal that workers handle ends the process only before the handlers exist, while it starts.
const EXTERNAL_KILL_SIGNALS: ReadonlySet<string> = new Set(['KILL', 'TERM', ...WORKER_SIGNALS])
