/**
 * The arbiter: one queue of events, one loop that takes one event, decides by a table, and moves the set of workers
 * one step nearer to the wanted one. It never waits inside a decision and runs no code of the application.
 */

import { assertNever, MonocerosError } from '../errors.ts'
import type { Logger } from '../log/logger.ts'
import type { WorkerMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import { processTitle } from '../process/title.ts'
import type { ArbiterBoard } from '../scoreboard/board.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { ARBITER_SIGNALS, SIGNALS, type SignalName } from '../signals.ts'
import { type ArbiterEvent, EventQueue } from './events.ts'
import { closeExcept, type Generation, type OpenGeneration } from './generation.ts'
import { isLeaving, nextStep } from './reload.ts'
import { instanceName } from './spawn.ts'
import { Supervisor } from './supervisor.ts'
import type { BootFailure, WorkerHandle } from './worker-handle.ts'

/** What an arbiter works with beside the system; the tests give their own. */
export interface ArbiterParts {
  readonly resolved: ResolvedConfig
  /** Reads the settings again, at a reload. */
  readonly load: () => Promise<ResolvedConfig>
  readonly open: OpenGeneration
  readonly board: ArbiterBoard
  readonly log: Logger
  readonly setTitle: (title: string) => void
  /** Writes a pidfile; returns how to remove it. */
  readonly createPidfile: (path: string) => () => void
  /** Waits for the orphans of a container; once a tick. */
  readonly reapOrphans: () => void
  readonly version: string
  /** Which engine the workers will use, for the log. */
  readonly engine: string
}

/** How far a reload has come. */
type Reload =
  | { readonly stage: 'opening' }
  /** One worker tries the new settings and application. */
  | { readonly stage: 'trial'; readonly generation: Generation }
  /** They are good; the old workers are replaced one by one. */
  | { readonly stage: 'rolling'; readonly previous: Generation }

const TICK_MS = 1_000
/** A tick that comes later than this was not the workers' fault: nobody is called silent on it. */
const TICK_LATE_MS = 1_000
/** How long a quick stop may take after a second signal, and the stop after a failed start. */
const QUICK_STOP_MS = 2_000
/** Slots that TTIN leaves free, for the overlap of a reload and for slow drains. */
const SPARE_SLOTS = 2
/** Gunicorn's exit code of a worker whose application has no such callable. */
const APP_LOAD_ERROR = 4

export class Arbiter {
  readonly #system: System
  readonly #parts: ArbiterParts
  readonly #log: Logger
  readonly #queue = new EventQueue()
  readonly #supervisor: Supervisor
  #phase: 'starting' | 'running' | 'stopping' = 'starting'
  #current: Generation | undefined
  #reload: Reload | undefined
  #reloadQueued = false
  #wanted: number
  #status = 0
  #reason: string | undefined
  #pidfile: { path: string; remove: () => void } | undefined
  #nextTickMs: number
  #cancelTimer: () => void = () => {}

  constructor(system: System, parts: ArbiterParts) {
    this.#system = system
    this.#parts = parts
    this.#log = parts.log
    this.#wanted = this.#allowed(parts.resolved.values.workers)
    this.#nextTickMs = system.now() + TICK_MS
    this.#supervisor = new Supervisor(system, {
      board: parts.board,
      log: parts.log,
      queue: this.#queue,
      reports: {
        onReady: (worker) => this.#handleReady(worker),
        onBootFailure: (worker, failure) => this.#handleBootFailure(worker, failure),
      },
    })
  }

  /** Runs until it is told to stop; the result is the exit status. */
  async run(): Promise<number> {
    const { resolved, version } = this.#parts
    this.#log.info(`Starting monoceros ${version}`)
    this.#identify(resolved.values)
    for (const signal of ARBITER_SIGNALS) {
      this.#system.onSignal(signal, () => this.#queue.push({ type: 'signal', signal }))
    }
    this.#openGeneration(async () => resolved)
    try {
      return await this.#loop()
    } finally {
      this.#cancelTimer()
      this.#pidfile?.remove()
    }
  }

  async #loop(): Promise<number> {
    while (this.#phase !== 'stopping' || this.#supervisor.workers.size > 0) {
      this.#armTimer()
      this.#handle(await this.#queue.take())
      this.#reconcile()
    }
    const level = this.#reason === undefined ? 'info' : 'error'
    this.#log[level]('Shutting down: Master')
    if (this.#reason !== undefined) this.#log.error(`Reason: ${this.#reason}`)
    return this.#status
  }

  #handle(event: ArbiterEvent): void {
    switch (event.type) {
      case 'signal':
        return this.#handleSignal(event.signal)
      case 'opened':
        return this.#handleOpened(event.generation, event.warnings)
      case 'openFailed':
        return this.#handleOpenFailed(event.error)
      case 'message':
        return this.#handleMessage(event.worker, event.message)
      case 'exit':
        event.worker.exit = event.exit
        return this.#supervisor.apply(event.worker, 'exit')
      case 'tick':
        return this.#handleTick()
      default:
        return assertNever(event)
    }
  }

  /** Steps towards the wanted workers until something must happen first. */
  #reconcile(): void {
    if (this.#phase === 'stopping' || this.#current === undefined) return
    for (;;) {
      const nowMs = this.#system.now()
      const step = nextStep({
        wanted: this.#wanted,
        workers: this.#supervisor.workers.list(),
        current: this.#current,
        trial: this.#reload?.stage === 'trial' ? this.#reload.generation : undefined,
        maySpawn: this.#supervisor.policy.maySpawn(nowMs),
        nowMs,
      })
      if (step.type === 'wait') return
      if (step.type === 'settled') return this.#finishReload()
      if (step.type === 'retire') this.#supervisor.apply(step.worker, 'retire')
      // Every slot is taken by a worker that has not ended yet: its end comes as an event.
      else if (!this.#supervisor.spawn(step.generation)) return
    }
  }

  #handleSignal(signal: SignalName): void {
    const role = SIGNALS[signal].arbiter
    this.#log.info(`Handling signal: ${signal.toLowerCase()}`)
    if (this.#phase === 'stopping') {
      if (role === 'quit') this.#hurry()
      return
    }
    switch (role) {
      case 'stop':
        return this.#stop('retire')
      case 'quit':
        return this.#stop('quit')
      case 'reload':
        this.#reloadQueued = true
        return this.#startQueuedReload()
      case 'more':
        return this.#resize(this.#wanted + 1)
      case 'fewer':
        return this.#resize(this.#wanted - 1)
      case 'later':
        return this.#log.warning(`SIG${signal} is not supported yet; nothing changes`)
      default:
        return
    }
  }

  #stop(event: 'retire' | 'quit'): void {
    this.#phase = 'stopping'
    if (this.#reload?.stage === 'trial') closeExcept(this.#reload.generation, this.#current)
    if (this.#reload?.stage === 'rolling') closeExcept(this.#reload.previous, this.#current)
    if (this.#current !== undefined) closeExcept(this.#current, undefined)
    for (const worker of this.#supervisor.workers.list()) this.#supervisor.apply(worker, event)
  }

  #hurry(): void {
    this.#log.info('Quick shutdown requested')
    for (const worker of this.#supervisor.workers.list()) this.#supervisor.apply(worker, 'quit')
    this.#supervisor.hurry(QUICK_STOP_MS)
  }

  /** The start has failed: there is nothing to keep. */
  #halt(status: number, reason: string | undefined): void {
    this.#status = status
    this.#reason = reason
    this.#stop('quit')
    this.#supervisor.hurry(QUICK_STOP_MS)
  }

  #resize(wanted: number): void {
    const allowed = this.#allowed(wanted)
    if (allowed !== wanted) {
      this.#log.warning(
        `workers stays at ${allowed}: ${wanted} is not between 1 and ${this.#most()}`,
      )
    }
    this.#wanted = allowed
  }

  #allowed(wanted: number): number {
    return Math.max(1, Math.min(wanted, this.#most()))
  }

  #most(): number {
    return this.#parts.board.slots - SPARE_SLOTS
  }

  // A reload starts when none is under way and the start is over; until then it waits, once.
  #startQueuedReload(): void {
    if (!this.#reloadQueued || this.#reload !== undefined || this.#phase !== 'running') return
    this.#reloadQueued = false
    this.#reload = { stage: 'opening' }
    this.#openGeneration(this.#parts.load)
  }

  /** Reads settings and opens their addresses beside the loop; the result comes as an event. */
  #openGeneration(load: () => Promise<ResolvedConfig>): void {
    const open = async () => {
      const resolved = await load()
      const generation = await this.#parts.open(resolved, this.#current)
      this.#queue.push({ type: 'opened', generation, warnings: resolved.warnings })
    }
    open().catch((error: unknown) => this.#queue.push({ type: 'openFailed', error }))
  }

  #handleOpened(generation: Generation, warnings: readonly string[]): void {
    if (this.#phase === 'stopping') return closeExcept(generation, this.#current)
    for (const warning of warnings) this.#log.warning(warning)
    if (this.#current === undefined) {
      this.#current = generation
      this.#sayListening(generation)
      this.#log.info(`Using engine: ${this.#parts.engine}`)
      return
    }
    this.#reload = { stage: 'trial', generation }
  }

  #handleOpenFailed(error: unknown): void {
    if (this.#phase === 'stopping') return
    this.#sayError(error)
    if (this.#current === undefined) {
      return this.#halt(error instanceof MonocerosError ? error.exit : 1, undefined)
    }
    this.#abandonReload()
  }

  #handleMessage(worker: WorkerHandle, message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        return this.#supervisor.apply(worker, 'ready')
      case 'failed':
        worker.failure ??= { text: message.text, exit: message.exit }
        return this.#supervisor.apply(worker, 'failed')
      case 'leaving':
        return this.#supervisor.apply(worker, 'leaving')
      case 'beat':
        return this.#parts.board.note(worker.slot, message.counters)
      default:
        return assertNever(message)
    }
  }

  #handleReady(worker: WorkerHandle): void {
    if (this.#phase === 'starting') this.#phase = 'running'
    if (this.#reload?.stage === 'trial' && this.#reload.generation === worker.generation) {
      this.#commitReload(this.#reload.generation)
    }
    this.#startQueuedReload()
  }

  #handleBootFailure(worker: WorkerHandle, failure: BootFailure): void {
    if (this.#phase === 'stopping') return
    this.#log.error(failure.text)
    if (this.#phase === 'starting') {
      const reason =
        failure.exit === APP_LOAD_ERROR ? 'App failed to load.' : 'Worker failed to boot.'
      return this.#halt(failure.exit, reason)
    }
    if (this.#reload?.stage === 'trial' && this.#reload.generation === worker.generation) {
      closeExcept(this.#reload.generation, this.#current)
      return this.#abandonReload()
    }
    this.#supervisor.recordDeath(worker, false)
    // Settings that were mended meanwhile need not wait for a rollout that cannot end.
    if (this.#reload?.stage === 'rolling' && this.#reloadQueued) {
      this.#endRollout(this.#reload.previous)
    }
  }

  #abandonReload(): void {
    this.#log.error('Reload failed; the old workers keep serving')
    this.#reload = undefined
    this.#startQueuedReload()
  }

  /** The new settings and application have proved good: they are what everything is started with from now on. */
  #commitReload(generation: Generation): void {
    const { config } = generation
    const previous = this.#current ?? generation
    this.#reload = { stage: 'rolling', previous }
    this.#current = generation
    this.#wanted = this.#allowed(config.workers)
    this.#supervisor.policy.reset()
    try {
      this.#log.configure(config)
      this.#identify(config)
    } catch (error) {
      // A log or pidfile that cannot be written is no reason to end a server that serves.
      this.#sayError(error)
    }
    if (generation.listeners.some((listener) => !previous.listeners.includes(listener))) {
      this.#sayListening(generation)
    }
  }

  #finishReload(): void {
    if (this.#reload?.stage !== 'rolling') return
    // The last old worker has been told to leave and may not know it yet.
    const nowMs = this.#system.now()
    if (this.#supervisor.workers.list().some((worker) => isLeaving(worker, nowMs))) return
    this.#log.info('Reload complete: all workers are new')
    this.#endRollout(this.#reload.previous)
  }

  #endRollout(previous: Generation): void {
    closeExcept(previous, this.#current)
    this.#reload = undefined
    this.#startQueuedReload()
  }

  #handleTick(): void {
    const nowMs = this.#system.now()
    const late = nowMs - this.#nextTickMs > TICK_LATE_MS
    if (nowMs >= this.#nextTickMs) this.#nextTickMs = nowMs + TICK_MS
    this.#supervisor.check({ late })
    this.#parts.reapOrphans()
  }

  #armTimer(): void {
    this.#cancelTimer()
    const dueMs = Math.min(this.#nextTickMs, this.#supervisor.dueMs())
    const delayMs = Math.max(0, Math.ceil(dueMs - this.#system.now()))
    this.#cancelTimer = this.#system.after(delayMs, () => this.#queue.push({ type: 'tick' }))
  }

  /** Takes on the name and the pidfile of the settings. */
  #identify(config: Config): void {
    this.#parts.setTitle(processTitle('arbiter', instanceName(config)))
    const path = config.pidfile ?? undefined
    if (path === this.#pidfile?.path) return
    const taken = path === undefined ? undefined : { path, remove: this.#parts.createPidfile(path) }
    this.#pidfile?.remove()
    this.#pidfile = taken
  }

  #sayListening({ listeners }: Generation): void {
    const addresses = listeners.map(({ address }) => address).join(',')
    this.#log.info(`Listening at: ${addresses} (${this.#system.pid})`)
  }

  #sayError(error: unknown): void {
    if (error instanceof MonocerosError) this.#log.error(error.message)
    else this.#log.exception('Unexpected error', error)
  }
}
