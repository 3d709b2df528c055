/** One worker as the arbiter sees it: its process, its state and its times. What it does is decided elsewhere. */

import type { BlockReport } from '../messages.ts'
import type { Child, ChildExit } from '../process/system.ts'
import { type SignalName, WORKER_SIGNALS } from '../signals.ts'
import type { Generation } from './generation.ts'
import type { WorkerLimits } from './recycling.ts'
import type { WorkerState } from './states.ts'

/** Why a worker failed to boot, as it said itself or as the arbiter saw it. */
export interface BootFailure {
  readonly message: string
  readonly exitStatus: number
}

export class WorkerHandle {
  readonly slot: number
  /** Counts all workers ever started: the smaller, the older. */
  readonly age: number
  readonly pid: number
  readonly child: Child
  /** The settings and sockets that it was started with. */
  readonly generation: Generation
  readonly limits: WorkerLimits
  readonly spawnedAtMs: number
  state: WorkerState = 'booting'
  readyAtMs: number | undefined
  stoppingSinceMs: number | undefined
  /** The signal by which somebody else told it to leave. */
  stopSignal: SignalName | undefined
  /** Requests begun, and when the last one was, as far as the arbiter has looked. */
  startedRequests = 0
  lastRequestAtMs: number | undefined
  /** When the event `overdue` comes. */
  deadlineMs: number | undefined
  /** It has served as long or as much as it may and waits for a successor. */
  needsReplacement = false
  /** Its code has changed: it ends soon, and what replaces it waits for that. */
  isRestarting = false
  /** An error of the application was not caught in it. */
  hasUncaughtError = false
  /** It has served long enough that its end would not be a crash loop. */
  isStable = false
  /** We have sent ABRT: its end is its own fault, whatever signal it came by. */
  wasAborted = false
  bootFailure: BootFailure | undefined
  /** What its watcher found, and when. */
  blockReport: (BlockReport & { readonly atMs: number; readonly final: boolean }) | undefined
  exit: ChildExit | undefined

  constructor(fields: {
    slot: number
    age: number
    child: Child
    generation: Generation
    allowance: WorkerLimits
    bornAtMs: number
  }) {
    this.slot = fields.slot
    this.age = fields.age
    this.child = fields.child
    this.pid = fields.child.pid ?? 0
    this.generation = fields.generation
    this.limits = fields.allowance
    this.spawnedAtMs = fields.bornAtMs
  }

  /** Serves, or will. */
  isLive(): boolean {
    return this.state === 'booting' || this.state === 'serving'
  }

  /** How it ended, for the log. */
  describeExit(): string {
    const { code = null, signal = null, error } = this.exit ?? {}
    if (error !== undefined) return `it could not be started: ${error}`
    return signal === null ? `exited with code ${code}` : `was sent SIG${signal}`
  }

  /** Whether its end came by a signal that ends any program: an operator's, or the kernel's for want of memory. */
  wasKilledExternally(): boolean {
    return EXTERNAL_KILL_SIGNALS.has(this.exit?.signal ?? '')
  }
}

// Those that a worker handles end it only before it can: while its process starts.
const EXTERNAL_KILL_SIGNALS: ReadonlySet<string> = new Set(['KILL', 'TERM', ...WORKER_SIGNALS])
