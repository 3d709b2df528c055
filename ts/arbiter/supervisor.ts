/**
 * The workers' lives: starts them, does what the table of states says when something happens to one, watches their
 * deadlines and heartbeats, and accounts for them after their end. How many there should be is the arbiter's to say.
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
  logBlockReport,
  NATIVE_BLOCK_REPORT_WAIT_MS,
  recentBlockReport,
} from './block-report.ts'
import { Crashes, formatSeconds } from './crashes.ts'
import type { EventQueue } from './events.ts'
import type { ExtraListeners } from './extra-listeners.ts'
import type { Generation } from './generation.ts'
import { STABLE_AFTER_MS } from './policy.ts'
import { BUSY_BOOT_MS, drainAwaitedUntilMs, isDrainAwaited } from './reconcile.ts'
import { drawWorkerLimits, Recycling } from './recycling.ts'
import { createBootMessage, spawnWorker } from './spawn.ts'
import { TRANSITIONS, type WorkerAction, type WorkerEvent } from './states.ts'
import { type BootFailure, WorkerHandle } from './worker-handle.ts'
import { Workers } from './workers.ts'

/** What the arbiter decides about a worker's news. */
export interface SupervisorCallbacks {
  /** Whether everybody ends, and no other arbiter serves. */
  isFinalShutdown(): boolean
  /** Whether a reload tries its settings with this worker: then its end is that of the reload. */
  isTrial(worker: WorkerHandle): boolean
  onReady(worker: WorkerHandle): void
  onBootFailure(worker: WorkerHandle, failure: BootFailure): void
  /** Before a worker is started: what hooks add to it. */
  callPreFork(age: number): SpawnAdditions
  onFilesLoaded(message: Extract<WorkerMessage, { type: 'loaded' }>): void
  /** The process has ended. */
  onExited(worker: WorkerHandle): void
}

export interface SupervisorDependencies {
  readonly scoreboard: ArbiterScoreboard
  readonly log: Logger
  readonly queue: EventQueue
  readonly extraListeners: ExtraListeners
  readonly callbacks: SupervisorCallbacks
}

/** Between ABRT and KILL, and for a worker that could not load its application to end. */
const ABORT_GRACE_MS = 1_000
/** How long a quick stop may take: nothing is finished in it, and the hook `worker_exit` has a second. */
const QUICK_STOP_MS = 2_000
/** A worker ends its drain by itself at `graceful_timeout`; KILL comes a little later. */
const KILL_DELAY_MS = 500

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
  #spawnedCount = 0

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

  /** Starts a worker in the lowest free slot; false when every slot is taken by one that has not ended yet. */
  spawn(generation: Generation): boolean {
    const slot = this.workers.freeSlot(this.#scoreboard.slotCount)
    if (slot === undefined) return false
    const { config } = generation
    const context = { board: this.#scoreboard, generation, slot }
    this.#spawnedCount += 1
    const age = this.#spawnedCount
    const child = spawnWorker(this.#system, context, this.#callbacks.callPreFork(age))
    const allowance = drawWorkerLimits(this.#system, config)
    const bornAtMs = this.#system.now()
    const worker = new WorkerHandle({ slot, age, child, generation, allowance, bornAtMs })
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

  /** Does what the table says. */
  applyEvent(worker: WorkerHandle, event: WorkerEvent): void {
    const { nextState, action } = TRANSITIONS[worker.state][event]
    worker.state = nextState
    this.#actions[action](worker)
  }

  handleMessage(worker: WorkerHandle, message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.applyEvent(worker, 'ready')
      case 'bootFailed':
        worker.bootFailure ??= { message: message.message, exitStatus: message.exitStatus }
        return this.applyEvent(worker, 'bootFailed')
      case 'signaled':
        worker.stopSignal = message.signal
        return this.applyEvent(worker, 'signaled')
      case 'listen':
        return this.#extraListeners.handleListen(worker, message.id, message)
      case 'unlisten':
        return this.#extraListeners.handleUnlisten(worker, message)
      case 'uncaughtError':
        worker.hasUncaughtError = true
        return
      case 'loaded':
        return this.#callbacks.onFilesLoaded(message)
      case 'heartbeat':
        return this.#scoreboard.recordCounters(worker.slot, message.counters)
      case 'blocked':
        return this.handleBlockReport(worker, message)
      default:
        return assertNever(message)
    }
  }

  /** What the watcher of a worker has found; it may say first that an answer will take longer. */
  handleBlockReport(worker: WorkerHandle, found: BlockReport & { readonly final: boolean }): void {
    worker.blockReport = { ...found, atMs: this.#system.now() }
    if (found.final) return this.applyEvent(worker, 'blockReported')
    // Its successor has been started; the process itself need not end before its stack is known.
    if (worker.state === 'blocked')
      worker.deadlineMs = this.#deadlineAfter(NATIVE_BLOCK_REPORT_WAIT_MS)
  }

  /** Ends all workers, for their code has changed. */
  restartWorkers(): void {
    this.crashes.policy.reset()
    for (const worker of this.workers.live()) {
      worker.isRestarting = true
      this.applyEvent(worker, 'retire')
    }
  }

  /** Opens the logs of all workers again. */
  reopenLogs(): void {
    for (const { child } of this.workers.list()) child.send({ type: 'reopenLogs' })
  }

  /** Not while a pause lasts, and not beside workers whose code has changed. */
  canSpawn(nowMs: number): boolean {
    const restarting = this.workers.list().some(({ isRestarting }) => isRestarting)
    return this.crashes.policy.canSpawn(nowMs) && !restarting
  }

  /** Looks at all deadlines, and at heartbeats unless this look itself is late. */
  checkDeadlines({ late: isLate }: { late: boolean }): void {
    const nowMs = this.#system.now()
    for (const worker of this.workers.list()) {
      if (worker.deadlineMs !== undefined && worker.deadlineMs <= nowMs) {
        worker.deadlineMs = undefined
        this.applyEvent(worker, 'deadlinePassed')
      }
      if (worker.readyAtMs === undefined) continue
      const reading = this.#scoreboard.read(worker.slot)
      if (!isLate && this.#excessiveSilenceMs(worker, reading) !== undefined)
        this.applyEvent(worker, 'timedOut')
      if (worker.state === 'serving') this.#checkServing(worker, reading)
      this.#recordRequests(worker, reading)
    }
  }

  // The scoreboard has no age of requests: that would be a clock read for each. Their number tells it as well.
  #recordRequests(worker: WorkerHandle, { requests, inFlight }: SlotReading): void {
    if (requests + inFlight === worker.startedRequests) return
    worker.startedRequests = requests + inFlight
    worker.lastRequestAtMs = this.#system.now()
  }

  hasAwaitedDrain(): boolean {
    return this.workers.list().some((worker) => isDrainAwaited(worker, this.#system.now()))
  }

  countServing(): number {
    return this.workers.list().filter(({ state }) => state === 'serving').length
  }

  /** For the title: how many serve, and what they have in hand. */
  formatStatus(): string {
    const serving = this.countServing()
    const inFlight = this.workers
      .list()
      .reduce(
        (sum, { slot, readyAtMs }) =>
          sum + (readyAtMs === undefined ? 0 : this.#scoreboard.read(slot).inFlight),
        0,
      )
    return `${serving} worker${serving === 1 ? '' : 's'}, ${inFlight} in flight`
  }

  /** When something falls due by itself. */
  nextDeadlineMs(): number {
    const times = this.workers.list().flatMap((worker) => [
      worker.deadlineMs ?? Number.POSITIVE_INFINITY,
      this.#heartbeatDeadlineMs(worker),
      // A reload goes on when this one has only slow requests left.
      worker.state === 'draining' ? drainAwaitedUntilMs(worker) : Number.POSITIVE_INFINITY,
      worker.state === 'booting' ? worker.spawnedAtMs + BUSY_BOOT_MS : Number.POSITIVE_INFINITY,
    ])
    const nowMs = this.#system.now()
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
      // Of a worker that is told twice the first deadline stays.
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
      const silentMs = this.#excessiveSilenceMs(worker, this.#scoreboard.read(worker.slot)) ?? 0
      const { timeout } = worker.generation.config
      logLine(this.#log, 'workerTimeout', worker.pid, formatSeconds(silentMs), `${timeout}s`)
      worker.deadlineMs = this.#deadlineAfter(BLOCK_REPORT_WAIT_MS)
      const known = recentBlockReport(worker, this.#system.now())
      if (known !== undefined) this.handleBlockReport(worker, known)
    },
    abortBlocked: (worker) => {
      const blockade = recentBlockReport(worker, this.#system.now())
      if (blockade !== undefined) logBlockReport(this.#log, worker, blockade)
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
      const isOutside = worker.wasKilledExternally()
      if (isOutside && !this.#callbacks.isTrial(worker)) return this.#recordCrash(worker)
      // For want of memory, perhaps: that is said as well.
      if (isOutside) this.crashes.logExit(worker)
      this.#failBoot(worker, worker.describeExit())
    },
    handleCrash: (worker) => {
      this.#removeExited(worker)
      // A failure to boot in time has been reported and recorded already.
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

  /** After the process has ended: its counts go to those of the dead once, its slot is free. */
  #removeExited(worker: WorkerHandle): void {
    this.workers.remove(worker)
    this.#extraListeners.removeWorker(worker)
    if (worker.child.pid === undefined) return
    this.#scoreboard.release(worker.slot)
    this.#callbacks.onExited(worker)
  }

  #recordCrash(worker: WorkerHandle): void {
    // It may have left connections in the kernel's queue that the others believed to be its.
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

  /** How long the worker has been silent, when that is longer than it may be. */
  #excessiveSilenceMs(worker: WorkerHandle, { heartbeatAgeMs }: SlotReading): number | undefined {
    const limitMs = worker.generation.config.timeout * 1_000
    if (limitMs === 0 || worker.readyAtMs === undefined) return undefined
    const ageMs = heartbeatAgeMs ?? this.#system.now() - worker.readyAtMs
    return ageMs > limitMs ? ageMs : undefined
  }

  /** When the worker will have been silent for too long, unless it beats before. */
  #heartbeatDeadlineMs(worker: WorkerHandle): number {
    const limitMs = worker.generation.config.timeout * 1_000
    const watched = worker.state === 'serving' || worker.state === 'draining'
    if (limitMs === 0 || worker.readyAtMs === undefined || !watched) return Number.POSITIVE_INFINITY
    const nowMs = this.#system.now()
    const ageMs = this.#scoreboard.read(worker.slot).heartbeatAgeMs ?? nowMs - worker.readyAtMs
    return nowMs + limitMs - ageMs + 1
  }

  #deadlineAfter(delayMs: number): number {
    return this.#system.now() + delayMs
  }
}
