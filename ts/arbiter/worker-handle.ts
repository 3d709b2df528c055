/** One worker as the arbiter sees it: its process, its state and its times. What it does is decided elsewhere. */

import type { Blockade } from '../messages.ts'
import type { Child, ChildExit } from '../process/system.ts'
import { type SignalName, WORKER_SIGNALS } from '../signals.ts'
import type { Generation } from './generation.ts'
import type { Allowance } from './recycling.ts'
import type { WorkerState } from './states.ts'

/** Why a worker failed to boot, as it said itself or as the arbiter saw it. */
export interface BootFailure {
  readonly text: string
  readonly exit: number
}

export class WorkerHandle {
  readonly slot: number
  /** Counts all workers ever started: the smaller, the older. */
  readonly age: number
  readonly pid: number
  readonly child: Child
  /** The settings and sockets that it was started with. */
  readonly generation: Generation
  readonly allowance: Allowance
  readonly bornAtMs: number
  state: WorkerState = 'booting'
  readyAtMs: number | undefined
  leavingSinceMs: number | undefined
  /** The signal by which somebody else told it to leave. */
  leavesBy: SignalName | undefined
  /** Requests begun, and when the last one was, as far as the arbiter has looked. */
  begun = 0
  newestRequestAtMs: number | undefined
  /** When the event `overdue` comes. */
  deadlineMs: number | undefined
  /** It has served as long or as much as it may and waits for a successor. */
  expired = false
  /** Its code has changed: it ends soon, and what replaces it waits for that. */
  isRestarting = false
  /** An error of the application was not caught in it. */
  spoiled = false
  /** It has served long enough that its end would not be a crash loop. */
  stable = false
  /** We have sent ABRT: its end is its own fault, whatever signal it came by. */
  aborted = false
  failure: BootFailure | undefined
  /** What its watcher found, and when. */
  blockade: (Blockade & { readonly atMs: number; readonly final: boolean }) | undefined
  exit: ChildExit | undefined

  constructor(fields: {
    slot: number
    age: number
    child: Child
    generation: Generation
    allowance: Allowance
    bornAtMs: number
  }) {
    this.slot = fields.slot
    this.age = fields.age
    this.child = fields.child
    this.pid = fields.child.pid ?? 0
    this.generation = fields.generation
    this.allowance = fields.allowance
    this.bornAtMs = fields.bornAtMs
  }

  /** Serves, or will. */
  isLive(): boolean {
    return this.state === 'booting' || this.state === 'serving'
  }

  /** How it ended, for the log. */
  exitToLog(): string {
    const { code = null, signal = null, error } = this.exit ?? {}
    if (error !== undefined) return `it could not be started: ${error}`
    return signal === null ? `exited with code ${code}` : `was sent SIG${signal}`
  }

  /** Whether its end came by a signal that ends any program: an operator's, or the kernel's for want of memory. */
  endedFromOutside(): boolean {
    return OUTSIDE_SIGNALS.has(this.exit?.signal ?? '')
  }
}

// Those that a worker handles end it only before it can: while its process starts.
const OUTSIDE_SIGNALS: ReadonlySet<string> = new Set(['KILL', 'TERM', ...WORKER_SIGNALS])
