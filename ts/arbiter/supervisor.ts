/**
 * The workers' lives: starts them, does what the table of states says when something happens to one, watches their
 * deadlines and heartbeats, and accounts for them after their end. How many there should be is the arbiter's to say.
 */

import { assertNever, monocerosError } from '../errors.ts'
import type { SpawnAdditions } from '../hooks/types.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { type Blockade, RESTART_MS, type WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { ArbiterBoard, SlotReading } from '../scoreboard/board.ts'
import {
  EXPLANATION_WAIT_MS,
  freshBlockade,
  NATIVE_EXPLANATION_WAIT_MS,
  sayBlockade,
} from './block-report.ts'
import { Deaths, seconds } from './crashes.ts'
import type { EventQueue } from './events.ts'
import type { FurtherListeners } from './extra-listeners.ts'
import type { Generation } from './generation.ts'
import { STABLE_AFTER_MS } from './policy.ts'
import { BUSY_BOOT_MS, isLeaving, leftBehindAtMs } from './reconcile.ts'
import { allowanceOf, Recycling } from './recycling.ts'
import { bootMessage, spawnWorker } from './spawn.ts'
import { STATES, type WorkerAction, type WorkerEvent } from './states.ts'
import { type BootFailure, WorkerHandle } from './worker-handle.ts'
import { Workers } from './workers.ts'

/** What the arbiter decides about a worker's news. */
export interface SupervisorReports {
  /** Whether everybody ends, and no other arbiter serves. */
  isLast(): boolean
  /** Whether a reload tries its settings with this worker: then its end is that of the reload. */
  isTrial(worker: WorkerHandle): boolean
  onReady(worker: WorkerHandle): void
  onBootFailure(worker: WorkerHandle, failure: BootFailure): void
  /** Before a worker is started: what hooks add to it. */
  beforeSpawn(age: number): SpawnAdditions
  onLoaded(message: Extract<WorkerMessage, { type: 'loaded' }>): void
  /** The process has ended. */
  onGone(worker: WorkerHandle): void
}

export interface SupervisorParts {
  readonly board: ArbiterBoard
  readonly log: Logger
  readonly queue: EventQueue
  readonly further: FurtherListeners
  readonly reports: SupervisorReports
}

/** Between ABRT and KILL, and for a worker that could not load its application to end. */
const LAST_CHANCE_MS = 1_000
/** How long a quick stop may take: nothing is finished in it, and the hook `worker_exit` has a second. */
const QUICK_STOP_MS = 2_000
/** A worker ends its drain by itself at `graceful_timeout`; KILL comes a little later. */
const DRAIN_SLACK_MS = 500

export class Supervisor {
  readonly workers = new Workers()
  readonly deaths: Deaths
  readonly #system: System
  readonly #board: ArbiterBoard
  readonly #log: Logger
  readonly #queue: EventQueue
  readonly #reports: SupervisorReports
  readonly #recycling: Recycling
  readonly #further: FurtherListeners
  readonly #served = new WeakSet<Generation>()
  #started = 0

  constructor(system: System, parts: SupervisorParts) {
    this.#system = system
    this.deaths = new Deaths(system, parts.log)
    this.#recycling = new Recycling(system)
    this.#board = parts.board
    this.#log = parts.log
    this.#queue = parts.queue
    this.#reports = parts.reports
    this.#further = parts.further
  }

  /** Starts a worker in the lowest free slot; false when every slot is taken by one that has not ended yet. */
  spawn(generation: Generation): boolean {
    const slot = this.workers.freeSlot(this.#board.slots)
    if (slot === undefined) return false
    const { config } = generation
    const context = { board: this.#board, generation, slot }
    this.#started += 1
    const age = this.#started
    const child = spawnWorker(this.#system, context, this.#reports.beforeSpawn(age))
    const allowance = allowanceOf(this.#system, config)
    const bornAtMs = this.#system.now()
    const worker = new WorkerHandle({ slot, age, child, generation, allowance, bornAtMs })
    worker.deadlineMs = this.#in(config.boot_timeout * 1_000)
    this.workers.add(worker)
    child.onMessage((message) => this.#queue.push({ type: 'message', worker, message }))
    child.onOutput((stream, line) => this.#log.output(worker.pid, stream, line))
    child.onExit((exit) => this.#queue.push({ type: 'exit', worker, exit }))
    if (child.pid === undefined) return true
    const slotGeneration = this.#board.claim(slot, child.pid)
    const requestLimit = allowance.requests
    const hasServed = this.#served.has(generation)
    child.send(bootMessage(context, { slotGeneration, check: false, age, requestLimit, hasServed }))
    logLine(this.#log, 'workerBooting', child.pid)
    return true
  }

  /** Does what the table says. */
  apply(worker: WorkerHandle, event: WorkerEvent): void {
    const { next, action } = STATES[worker.state][event]
    worker.state = next
    this.#actions[action](worker)
  }

  handleMessage(worker: WorkerHandle, message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.apply(worker, 'ready')
      case 'failed':
        worker.failure ??= { text: message.text, exit: message.exit }
        return this.apply(worker, 'failed')
      case 'leaving':
        worker.leavesBy = message.signal
        return this.apply(worker, 'leaving')
      case 'listen':
        return this.#further.give(worker, message.id, message)
      case 'unlisten':
        return this.#further.leave(worker, message)
      case 'spoiled':
        worker.spoiled = true
        return
      case 'loaded':
        return this.#reports.onLoaded(message)
      case 'beat':
        return this.#board.note(worker.slot, message.counters)
      case 'blocked':
        return this.noteBlockade(worker, message)
      default:
        return assertNever(message)
    }
  }

  /** What the watcher of a worker has found; it may say first that an answer will take longer. */
  noteBlockade(worker: WorkerHandle, found: Blockade & { readonly final: boolean }): void {
    worker.blockade = { ...found, atMs: this.#system.now() }
    if (found.final) return this.apply(worker, 'explained')
    // Its successor has been started; the process itself need not end before its stack is known.
    if (worker.state === 'blocked') worker.deadlineMs = this.#in(NATIVE_EXPLANATION_WAIT_MS)
  }

  /** Ends all workers, for their code has changed. */
  restart(): void {
    this.deaths.policy.reset()
    for (const worker of this.workers.live()) {
      worker.isRestarting = true
      this.apply(worker, 'retire')
    }
  }

  /** Opens the logs of all workers again. */
  reopenLogs(): void {
    for (const { child } of this.workers.list()) child.send({ type: 'reopen' })
  }

  /** Not while a pause lasts, and not beside workers whose code has changed. */
  maySpawn(nowMs: number): boolean {
    const restarting = this.workers.list().some(({ isRestarting }) => isRestarting)
    return this.deaths.policy.maySpawn(nowMs) && !restarting
  }

  /** Looks at all deadlines, and at heartbeats unless this look itself is late. */
  check({ late }: { late: boolean }): void {
    const nowMs = this.#system.now()
    for (const worker of this.workers.list()) {
      if (worker.deadlineMs !== undefined && worker.deadlineMs <= nowMs) {
        worker.deadlineMs = undefined
        this.apply(worker, 'overdue')
      }
      if (worker.readyAtMs === undefined) continue
      const reading = this.#board.read(worker.slot)
      if (!late && this.#silentMs(worker, reading) !== undefined) this.apply(worker, 'silent')
      if (worker.state === 'serving') this.#checkServing(worker, reading)
      this.#noteRequests(worker, reading)
    }
  }

  // The scoreboard has no age of requests: that would be a clock read for each. Their number tells it as well.
  #noteRequests(worker: WorkerHandle, { requests, busy }: SlotReading): void {
    if (requests + busy === worker.begun) return
    worker.begun = requests + busy
    worker.newestRequestAtMs = this.#system.now()
  }

  someLeave(): boolean {
    return this.workers.list().some((worker) => isLeaving(worker, this.#system.now()))
  }

  servingCount(): number {
    return this.workers.list().filter(({ state }) => state === 'serving').length
  }

  /** For the title: how many serve, and what they have in hand. */
  figures(): string {
    const serving = this.servingCount()
    const inFlight = this.workers
      .list()
      .reduce(
        (sum, { slot, readyAtMs }) =>
          sum + (readyAtMs === undefined ? 0 : this.#board.read(slot).busy),
        0,
      )
    return `${serving} worker${serving === 1 ? '' : 's'}, ${inFlight} in flight`
  }

  /** When something falls due by itself. */
  dueMs(): number {
    const times = this.workers.list().flatMap((worker) => [
      worker.deadlineMs ?? Number.POSITIVE_INFINITY,
      this.#silentAtMs(worker),
      // A reload goes on when this one has only slow requests left.
      worker.state === 'draining' ? leftBehindAtMs(worker) : Number.POSITIVE_INFINITY,
      worker.state === 'booting' ? worker.bornAtMs + BUSY_BOOT_MS : Number.POSITIVE_INFINITY,
    ])
    const nowMs = this.#system.now()
    return Math.min(...[...times, this.deaths.policy.retryAtMs()].filter((time) => time > nowMs))
  }

  readonly #actions: Record<WorkerAction, (worker: WorkerHandle) => void> = {
    ignore: () => {},
    welcome: (worker) => {
      worker.readyAtMs = this.#system.now()
      worker.deadlineMs = undefined
      this.#served.add(worker.generation)
      logLine(this.#log, 'workerReady', worker.pid)
      this.#reports.onReady(worker)
    },
    noteFailure: (worker) => {
      worker.deadlineMs = this.#in(LAST_CHANCE_MS)
      this.#reportFailure(worker)
    },
    noteLeaving: (worker) => {
      logLine(this.#log, 'workerSignaled', worker.pid, String(worker.leavesBy))
      this.#startDrain(worker)
      if (this.#reports.isTrial(worker)) this.#failBoot(worker, `was sent SIG${worker.leavesBy}`)
      else this.deaths.record(worker, true)
    },
    terminate: (worker) => {
      this.#startDrain(worker)
      if (worker.isRestarting) {
        worker.deadlineMs = this.#in(RESTART_MS + DRAIN_SLACK_MS)
        return worker.child.send({ type: 'restart' })
      }
      this.#hasten(worker)
      this.#system.kill(worker.pid, 'TERM')
    },
    hasten: (worker) => this.#hasten(worker),
    interrupt: (worker) => {
      worker.leavingSinceMs ??= this.#system.now()
      // Of a worker that is told twice the first deadline stays.
      worker.deadlineMs = Math.min(
        worker.deadlineMs ?? Number.POSITIVE_INFINITY,
        this.#in(QUICK_STOP_MS),
      )
      this.#system.kill(worker.pid, 'QUIT')
    },
    abortBoot: (worker) => {
      const { boot_timeout } = worker.generation.config
      const error = monocerosError('ERR_WORKER_BOOT_TIMEOUT', worker.pid, boot_timeout)
      worker.failure = { text: error.message, exit: error.exit }
      this.#abort(worker)
      this.#reportFailure(worker)
    },
    askWhy: (worker) => {
      const silentMs = this.#silentMs(worker, this.#board.read(worker.slot)) ?? 0
      const { timeout } = worker.generation.config
      logLine(this.#log, 'workerTimeout', worker.pid, seconds(silentMs), `${timeout}s`)
      worker.deadlineMs = this.#in(EXPLANATION_WAIT_MS)
      const known = freshBlockade(worker, this.#system.now())
      if (known !== undefined) this.noteBlockade(worker, known)
    },
    abortSilent: (worker) => {
      const blockade = freshBlockade(worker, this.#system.now())
      if (blockade !== undefined) sayBlockade(this.#log, worker, blockade)
      this.#abort(worker)
    },
    kill: (worker) => {
      logLine(this.#log, 'killingWorker', worker.pid)
      this.#system.kill(worker.pid, 'KILL')
    },
    farewell: (worker) => {
      this.#bury(worker)
      logLine(this.#log, 'workerExiting', worker.pid)
    },
    bootFailed: (worker) => {
      this.#bury(worker)
      if (worker.failure !== undefined) return
      const isOutside = worker.endedFromOutside()
      if (isOutside && !this.#reports.isTrial(worker)) return this.#lament(worker)
      // For want of memory, perhaps: that is said as well.
      if (isOutside) this.deaths.say(worker)
      this.#failBoot(worker, worker.exitToLog())
    },
    crashed: (worker) => {
      this.#bury(worker)
      // A failure to boot in time has been reported and recorded already.
      if (worker.failure === undefined) this.#lament(worker)
    },
  }

  #startDrain(worker: WorkerHandle): void {
    worker.leavingSinceMs = this.#system.now()
    worker.deadlineMs = this.#in(worker.generation.config.graceful_timeout * 1_000 + DRAIN_SLACK_MS)
  }

  #hasten({ child }: WorkerHandle): void {
    if (this.#reports.isLast()) child.send({ type: 'hasten' })
  }

  #abort(worker: WorkerHandle): void {
    worker.aborted = true
    worker.deadlineMs = this.#in(LAST_CHANCE_MS)
    this.#system.kill(worker.pid, 'ABRT')
  }

  #failBoot(worker: WorkerHandle, how: string): void {
    const error = monocerosError('ERR_WORKER_BOOT_EXIT', worker.child.pid, how)
    worker.failure = { text: error.message, exit: error.exit }
    this.#reportFailure(worker)
  }

  #reportFailure(worker: WorkerHandle): void {
    if (worker.failure !== undefined) this.#reports.onBootFailure(worker, worker.failure)
  }

  /** After the process has ended: its counts go to those of the dead once, its slot is free. */
  #bury(worker: WorkerHandle): void {
    this.workers.remove(worker)
    this.#further.forget(worker)
    if (worker.child.pid === undefined) return
    this.#board.release(worker.slot)
    this.#reports.onGone(worker)
  }

  #lament(worker: WorkerHandle): void {
    // It may have left connections in the kernel's queue that the others believed to be its.
    this.#board.kickAll()
    this.deaths.say(worker)
    this.deaths.record(worker, worker.endedFromOutside() && !worker.aborted)
  }

  #checkServing(worker: WorkerHandle, { requests }: SlotReading): void {
    const servedMs = this.#system.now() - (worker.readyAtMs ?? 0)
    if (!worker.stable && servedMs >= STABLE_AFTER_MS) {
      worker.stable = true
      this.deaths.policy.recordStable()
    }
    if (worker.expired) return
    const reason = this.#recycling.reason(worker, requests)
    if (reason === undefined) return
    worker.expired = true
    logLine(this.#log, 'workerRecycled', worker.pid, reason)
  }

  /** How long the worker has been silent, when that is longer than it may be. */
  #silentMs(worker: WorkerHandle, { beatAgeMs }: SlotReading): number | undefined {
    const limitMs = worker.generation.config.timeout * 1_000
    if (limitMs === 0 || worker.readyAtMs === undefined) return undefined
    const ageMs = beatAgeMs ?? this.#system.now() - worker.readyAtMs
    return ageMs > limitMs ? ageMs : undefined
  }

  /** When the worker will have been silent for too long, unless it beats before. */
  #silentAtMs(worker: WorkerHandle): number {
    const limitMs = worker.generation.config.timeout * 1_000
    const watched = worker.state === 'serving' || worker.state === 'draining'
    if (limitMs === 0 || worker.readyAtMs === undefined || !watched) return Number.POSITIVE_INFINITY
    const nowMs = this.#system.now()
    const ageMs = this.#board.read(worker.slot).beatAgeMs ?? nowMs - worker.readyAtMs
    return nowMs + limitMs - ageMs + 1
  }

  #in(delayMs: number): number {
    return this.#system.now() + delayMs
  }
}
