/**
 * Owns the worker processes: starts them, applies the table of states to their events, checks
 * deadlines and heartbeats, and records their exits. The arbiter decides how many there are.
 */

import { assertNever, monocerosError } from '../errors.ts'
import type { SpawnAdditions } from '../hooks/types.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { type BlockReport, RESTART_DRAIN_MS, type WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { ArbiterScoreboard, SlotReading } from '../scoreboard/board.ts'
import {
  BLOCK_REPORT_WAIT_MS,
  findRecentBlockReport,
  logBlockReport,
  NATIVE_BLOCK_REPORT_WAIT_MS,
} from './block-report.ts'
import { Crashes, formatSeconds } from './crashes.ts'
import type { EventQueue } from './events.ts'
import type { ExtraListeners } from './extra-listeners.ts'
import type { Generation } from './generation.ts'
import { excessiveSilenceMs, heartbeatDeadlineMs } from './heartbeat.ts'
import { STABLE_AFTER_MS } from './policy.ts'
import { BUSY_BOOT_MS, drainAwaitedUntilMs, isDrainAwaited } from './reconcile.ts'
import { drawWorkerLimits, Recycling } from './recycling.ts'
import { createBootMessage, spawnWorker } from './spawn.ts'
import { TRANSITIONS, type WorkerAction, type WorkerEvent } from './states.ts'
import { type BootFailure, WorkerHandle } from './worker-handle.ts'
import { Workers } from './workers.ts'

/** What the supervisor asks of the arbiter, and reports to it. */
export interface SupervisorCallbacks {
  /** Returns whether the arbiter stops and no other arbiter serves. */
  isFinalShutdown(): boolean
  /** Returns whether a reload is tried with this worker, whose failure then fails the reload. */
  isTrial(worker: WorkerHandle): boolean
  onReady(worker: WorkerHandle): void
  onBootFailure(worker: WorkerHandle, failure: BootFailure): void
  /** Calls the hook `pre_fork` before a worker starts, and returns what it adds. */
  callPreFork(age: number): SpawnAdditions
  onFilesLoaded(message: Extract<WorkerMessage, { type: 'loaded' }>): void
  onMetrics(worker: WorkerHandle, message: Extract<WorkerMessage, { type: 'metrics' }>): void
  onDiagnosed(message: Extract<WorkerMessage, { type: 'diagnosed' }>): void
  /** Called when the process has exited. */
  onExited(worker: WorkerHandle): void
}

/** What the supervisor needs from the arbiter. */
export interface SupervisorDependencies {
  readonly scoreboard: ArbiterScoreboard
  readonly log: Logger
  readonly queue: EventQueue
  readonly extraListeners: ExtraListeners
  readonly callbacks: SupervisorCallbacks
}

/** Time between ABRT and KILL, and the time that a worker with a failed boot has to exit. */
const ABORT_GRACE_MS = 1_000
/**
 * Time limit of a quick stop. Requests are not finished, and the hook `worker_exit` has one second.
 */
const QUICK_STOP_MS = 2_000
/** A worker ends its drain by itself at `graceful_timeout`; KILL follows this much later. */
const KILL_DELAY_MS = 500

/** Owns the worker processes of one arbiter. */
export class Supervisor {
  readonly workers = new Workers()
  readonly crashes: Crashes
  readonly #system: System
  readonly #scoreboard: ArbiterScoreboard
  readonly #log: Logger
  readonly #queue: EventQueue
  readonly #callbacks: SupervisorCallbacks
  readonly #recycling: Recycling
  readonly #extraListeners: ExtraListeners
  readonly #servedGenerations = new WeakSet<Generation>()
  /** Number of workers ever started. */
  spawnedCount = 0

  constructor(system: System, dependencies: SupervisorDependencies) {
    this.#system = system
    this.crashes = new Crashes(system, dependencies.log)
    this.#recycling = new Recycling(system)
    this.#scoreboard = dependencies.scoreboard
    this.#log = dependencies.log
    this.#queue = dependencies.queue
    this.#callbacks = dependencies.callbacks
    this.#extraListeners = dependencies.extraListeners
  }

  /**
   * Starts a worker in the lowest free slot. Returns false if every slot is taken by a worker that
   * is still running.
   */
  spawn(generation: Generation): boolean {
    const slot = this.workers.freeSlot(this.#scoreboard.slotCount)
    if (slot === undefined) return false
    const { config } = generation
    const context = { board: this.#scoreboard, generation, slot }
    this.spawnedCount += 1
    const age = this.spawnedCount
    const child = spawnWorker(this.#system, context, this.#callbacks.callPreFork(age))
    const allowance = drawWorkerLimits(this.#system, config)
    const spawnedAtMs = this.#system.now()
    const worker = new WorkerHandle({ slot, age, child, generation, allowance, spawnedAtMs })
    worker.deadlineMs = this.#deadlineAfter(config.boot_timeout * 1_000)
    this.workers.add(worker)
    child.onMessage((message) => this.#queue.push({ type: 'workerMessage', worker, message }))
    child.onOutput((stream, line) => this.#log.output(worker.pid, stream, line))
    child.onExit((exit) => this.#queue.push({ type: 'workerExit', worker, exit }))
    if (child.pid === undefined) return true
    const slotGeneration = this.#scoreboard.claim(slot, child.pid)
    const requestLimit = allowance.maxRequests
    const hasServedBefore = this.#servedGenerations.has(generation)
    child.send(
      createBootMessage(context, {
        slotGeneration,
        isCheck: false,
        age,
        requestLimit,
        hasServedBefore,
      }),
    )
    logLine(this.#log, 'workerBooting', child.pid)
    return true
  }

  /** Performs the transition that the table has for this event. */
  applyEvent(worker: WorkerHandle, event: WorkerEvent): void {
    const { nextState, action } = TRANSITIONS[worker.state][event]
    worker.state = nextState
    this.#actions[action](worker)
  }

  applyEventToAll(event: WorkerEvent): void {
    for (const worker of this.workers.list()) this.applyEvent(worker, event)
  }

  handleMessage(worker: WorkerHandle, message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.applyEvent(worker, 'ready')
      case 'bootFailed':
        worker.bootFailure ??= { message: message.message, exitStatus: message.exitStatus }
        return this.applyEvent(worker, 'bootFailed')
      case 'signaled':
        // A worker reports the arbiter's TERM too.
        if (worker.stoppingSinceMs === undefined) worker.stopSignal = message.signal
        return this.applyEvent(worker, 'signaled')
      case 'listen':
        return this.#extraListeners.handleListen(worker, message.id, message)
      case 'unlisten':
        return this.#extraListeners.handleUnlisten(worker, message)
      case 'uncaughtError':
      case 'canLead':
      case 'stoppedLeading':
        return worker.recordReport(message)
      case 'loaded':
        return this.#callbacks.onFilesLoaded(message)
      case 'diagnosed':
        return this.#callbacks.onDiagnosed(message)
      case 'heartbeat':
        return this.#scoreboard.recordCounters(worker.slot, message.counters)
      case 'blocked':
        return this.handleBlockReport(worker, message)
      case 'metrics':
        return this.#callbacks.onMetrics(worker, message)
      default:
        return assertNever(message)
    }
  }

  /**
   * Handles a report of the watcher. A preliminary one announces that the final one takes longer.
   */
  handleBlockReport(
    worker: WorkerHandle,
    found: BlockReport & { readonly isFinal: boolean },
  ): void {
    worker.blockReport = { ...found, atMs: this.#system.now() }
    if (found.isFinal) return this.applyEvent(worker, 'blockReported')
    // The successor has been started already; this process can wait until its stack is known.
    if (worker.state === 'blocked')
      worker.deadlineMs = this.#deadlineAfter(NATIVE_BLOCK_REPORT_WAIT_MS)
  }

  /** Restarts all workers, because their code has changed. */
  restartWorkers(): void {
    this.crashes.policy.reset()
    for (const worker of this.workers.live()) {
      worker.isRestarting = true
      this.applyEvent(worker, 'retire')
    }
  }

  /** Asks all workers to open their log files again. */
  reopenLogs(): void {
    for (const { child } of this.workers.list()) child.send({ type: 'reopenLogs' })
  }

  /** Returns false during a crash delay, and while workers with changed code are still running. */
  canSpawn(nowMs: number): boolean {
    const restarting = this.workers.list().some(({ isRestarting }) => isRestarting)
    return this.crashes.policy.canSpawn(nowMs) && !restarting
  }

  /** Checks all deadlines, and heartbeats unless this check itself is late. */
  checkDeadlines({ isLate }: { isLate: boolean }): void {
    const nowMs = this.#system.now()
    for (const worker of this.workers.list()) {
      if (worker.deadlineMs !== undefined && worker.deadlineMs <= nowMs) {
        worker.deadlineMs = undefined
        this.applyEvent(worker, 'deadlinePassed')
      }
      if (worker.readyAtMs === undefined) continue
      const reading = this.#scoreboard.read(worker.slot)
      const silentMs = excessiveSilenceMs(worker, reading, this.#system.now())
      if (!isLate && silentMs !== undefined) this.applyEvent(worker, 'timedOut')
      if (worker.state === 'serving') this.#checkServing(worker, reading)
      this.#recordRequests(worker, reading)
    }
  }

  // The scoreboard has no start times of requests, which would cost a clock read for each. A change
  // of their number shows a new one.
  #recordRequests(worker: WorkerHandle, { requests, inFlight }: SlotReading): void {
    if (requests + inFlight === worker.startedRequests) return
    worker.startedRequests = requests + inFlight
    worker.lastRequestAtMs = this.#system.now()
  }

  hasAwaitedDrain(): boolean {
    return this.workers.list().some((worker) => isDrainAwaited(worker, this.#system.now()))
  }

  /**
   * Returns the time at which a worker's deadline, or another change that needs no event, is due.
   */
  nextDeadlineMs(): number {
    const nowMs = this.#system.now()
    const times = this.workers.list().flatMap((worker) => [
      worker.deadlineMs ?? Number.POSITIVE_INFINITY,
      heartbeatDeadlineMs(worker, this.#scoreboard, nowMs),
      // A reload continues when this worker has only slow requests left.
      worker.state === 'draining' ? drainAwaitedUntilMs(worker) : Number.POSITIVE_INFINITY,
      worker.state === 'booting' ? worker.spawnedAtMs + BUSY_BOOT_MS : Number.POSITIVE_INFINITY,
    ])
    return Math.min(...[...times, this.crashes.policy.retryAtMs()].filter((time) => time > nowMs))
  }

  readonly #actions: Record<WorkerAction, (worker: WorkerHandle) => void> = {
    ignore: () => {},
    recordReady: (worker) => {
      worker.readyAtMs = this.#system.now()
      worker.deadlineMs = undefined
      this.#servedGenerations.add(worker.generation)
      logLine(this.#log, 'workerReady', worker.pid)
      this.#callbacks.onReady(worker)
    },
    reportBootFailure: (worker) => {
      worker.deadlineMs = this.#deadlineAfter(ABORT_GRACE_MS)
      this.#reportFailure(worker)
    },
    handleSignaled: (worker) => {
      logLine(this.#log, 'workerSignaled', worker.pid, String(worker.stopSignal))
      this.#startDrain(worker)
      if (this.#callbacks.isTrial(worker))
        this.#failBoot(worker, `was sent SIG${worker.stopSignal}`)
      else this.crashes.recordExit(worker, true)
    },
    sendTerm: (worker) => {
      this.#startDrain(worker)
      if (worker.isRestarting) {
        worker.deadlineMs = this.#deadlineAfter(RESTART_DRAIN_MS + KILL_DELAY_MS)
        return worker.child.send({ type: 'restart' })
      }
      this.#shortenDrain(worker)
      this.#system.kill(worker.pid, 'TERM')
    },
    shortenDrain: (worker) => this.#shortenDrain(worker),
    sendQuit: (worker) => {
      worker.stoppingSinceMs ??= this.#system.now()
      // A worker that is asked twice keeps the earlier deadline.
      worker.deadlineMs = Math.min(
        worker.deadlineMs ?? Number.POSITIVE_INFINITY,
        this.#deadlineAfter(QUICK_STOP_MS),
      )
      this.#system.kill(worker.pid, 'QUIT')
    },
    abortBoot: (worker) => {
      const { boot_timeout } = worker.generation.config
      const error = monocerosError('ERR_WORKER_BOOT_TIMEOUT', worker.pid, boot_timeout)
      worker.bootFailure = { message: error.message, exitStatus: error.exit }
      this.#abort(worker)
      this.#reportFailure(worker)
    },
    awaitBlockReport: (worker) => {
      const nowMs = this.#system.now()
      const reading = this.#scoreboard.read(worker.slot)
      const silentMs = excessiveSilenceMs(worker, reading, nowMs) ?? 0
      const { timeout } = worker.generation.config
      logLine(this.#log, 'workerTimeout', worker.pid, formatSeconds(silentMs), `${timeout}s`)
      worker.deadlineMs = this.#deadlineAfter(BLOCK_REPORT_WAIT_MS)
      const report = findRecentBlockReport(worker, nowMs)
      if (report !== undefined) this.handleBlockReport(worker, report)
    },
    abortBlocked: (worker) => {
      const report = findRecentBlockReport(worker, this.#system.now())
      if (report !== undefined) logBlockReport(this.#log, worker, report)
      this.#abort(worker)
    },
    sendKill: (worker) => {
      logLine(this.#log, 'killingWorker', worker.pid)
      this.#system.kill(worker.pid, 'KILL')
    },
    recordStopped: (worker) => {
      this.#removeExited(worker)
      logLine(this.#log, 'workerExiting', worker.pid)
    },
    handleBootExit: (worker) => {
      this.#removeExited(worker)
      if (worker.bootFailure !== undefined) return
      const isExternal = worker.wasKilledExternally()
      if (isExternal && !this.#callbacks.isTrial(worker)) return this.#recordCrash(worker)
      // A kill may be due to lack of memory, which the log should name too.
      if (isExternal) this.crashes.logExit(worker)
      this.#failBoot(worker, worker.describeExit())
    },
    handleCrash: (worker) => {
      this.#removeExited(worker)
      // A boot that timed out has been logged and recorded already.
      if (worker.bootFailure === undefined) this.#recordCrash(worker)
    },
  }

  #startDrain(worker: WorkerHandle): void {
    worker.stoppingSinceMs = this.#system.now()
    worker.deadlineMs = this.#deadlineAfter(
      worker.generation.config.graceful_timeout * 1_000 + KILL_DELAY_MS,
    )
  }

  #shortenDrain({ child }: WorkerHandle): void {
    if (this.#callbacks.isFinalShutdown()) child.send({ type: 'shortenDrain' })
  }

  #abort(worker: WorkerHandle): void {
    worker.wasAborted = true
    worker.deadlineMs = this.#deadlineAfter(ABORT_GRACE_MS)
    this.#system.kill(worker.pid, 'ABRT')
  }

  #failBoot(worker: WorkerHandle, how: string): void {
    const error = monocerosError('ERR_WORKER_BOOT_EXIT', worker.child.pid, how)
    worker.bootFailure = { message: error.message, exitStatus: error.exit }
    this.#reportFailure(worker)
  }

  #reportFailure(worker: WorkerHandle): void {
    if (worker.bootFailure !== undefined) this.#callbacks.onBootFailure(worker, worker.bootFailure)
  }

  /**
   * Cleans up after an exited process: its counters are added to the totals once, and its slot
   * becomes free.
   */
  #removeExited(worker: WorkerHandle): void {
    this.workers.remove(worker)
    this.#extraListeners.removeWorker(worker)
    if (worker.child.pid === undefined) return
    this.#scoreboard.release(worker.slot)
    this.#callbacks.onExited(worker)
  }

  #recordCrash(worker: WorkerHandle): void {
    // The kernel's queue may hold connections that the other workers expected this one to accept.
    this.#scoreboard.kickAll()
    this.crashes.logExit(worker)
    this.crashes.recordExit(worker, worker.wasKilledExternally() && !worker.wasAborted)
  }

  #checkServing(worker: WorkerHandle, { requests }: SlotReading): void {
    const servedMs = this.#system.now() - (worker.readyAtMs ?? 0)
    if (!worker.isStable && servedMs >= STABLE_AFTER_MS) {
      worker.isStable = true
      this.crashes.policy.recordStable()
    }
    if (worker.needsReplacement) return
    const reason = this.#recycling.findReason(worker, requests)
    if (reason === undefined) return
    worker.needsReplacement = true
    logLine(this.#log, 'workerRecycled', worker.pid, reason)
  }

  #deadlineAfter(delayMs: number): number {
    return this.#system.now() + delayMs
  }
}
