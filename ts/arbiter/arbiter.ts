/**
 * The arbiter: one queue of events, one loop that takes one event, decides by a table, and moves the set of workers
 * one step nearer to the wanted one. It never waits inside a decision and runs no code of the application.
 */
import { assertNever, MonocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { SIGNALS, type SignalName } from '../signals.ts'
import { Clock } from './clock.ts'
import type { ArbiterParts } from './dependencies.ts'
import { Reloader } from './dev-reload.ts'
import type { ArbiterEvent, EventQueue } from './events.ts'
import { FurtherListeners } from './extra-listeners.ts'
import { type Generation, hasSocket, shownAddresses, takeKept } from './generation.ts'
import { Upkeep } from './housekeeping.ts'
import { type Phase, REACTIONS, type Reaction, type Request } from './reactions.ts'
import { nextStep } from './reconcile.ts'
import { Rollout } from './rollout.ts'
import { Supervisor } from './supervisor.ts'
import { Identity } from './title-and-pidfile.ts'
import { Succession } from './upgrade.ts'
import { Headcount } from './worker-count.ts'
import type { BootFailure, WorkerHandle } from './worker-handle.ts'

/** Gunicorn's exit code of a worker whose application has no such callable. */
const APP_LOAD_ERROR = 4

export class Arbiter {
  readonly #system: System
  readonly #parts: ArbiterParts
  readonly #log: Logger
  readonly #queue: EventQueue
  readonly #clock: Clock
  readonly #supervisor: Supervisor
  readonly #rollout: Rollout
  readonly #succession: Succession
  readonly #headcount: Headcount
  readonly #identity: Identity
  readonly #further: FurtherListeners
  readonly #reloader: Reloader
  readonly #upkeep: Upkeep
  /** What a signal asked for that the phase did not allow yet. */
  readonly #remembered = new Set<Request>()
  #life: 'starting' | 'running' | 'stopping' = 'starting'
  /** The hooks of the start have been called: workers may start. */
  #begun = false
  /** As many workers as wanted have been ready once. */
  #announced = false
  #status = 0
  #reason: string | undefined

  constructor(system: System, parts: ArbiterParts) {
    this.#system = system
    this.#parts = parts
    this.#log = parts.log
    this.#queue = parts.queue
    this.#further = new FurtherListeners(parts.log, parts.further)
    this.#clock = new Clock(system, this.#queue)
    const { log, board, queue } = parts
    const { workers } = parts.resolved.values
    this.#headcount = new Headcount(log, { workers, slots: board.slots }, (now, before) =>
      parts.hooks.call('nworkers_changed', now, before),
    )
    this.#succession = new Succession(system, parts)
    this.#identity = new Identity(parts, { succeeding: this.#succession.elder !== undefined })
    this.#reloader = new Reloader({ ...parts, cwd: parts.program.cwd })
    this.#rollout = new Rollout({
      ...{ system, log, queue, open: parts.open, load: parts.load },
      prepare: (generation) => this.#prepare(generation),
      ownsFiles: () => !this.#succession.isShared,
      onCurrent: (generation, previous) => this.#handleCurrent(generation, previous),
    })
    this.#supervisor = new Supervisor(system, {
      ...{ board, log, queue, further: this.#further },
      reports: {
        onReady: (worker) => this.#handleReady(worker),
        onBootFailure: (worker, failure) => this.#handleBootFailure(worker, failure),
        isTrial: ({ generation }) => generation === this.#rollout.trial,
        isLast: () => this.#life === 'stopping' && this.#succession.successor === undefined,
        onLoaded: (message) => this.#reloader.noteLoaded(message),
        beforeSpawn: (age) => parts.hooks.beforeSpawn(age, system.pid),
        onGone: ({ pid, age }) => parts.hooks.call('child_exit', { pid, age, ppid: system.pid }),
      },
    })
    const identity = this.#identity
    this.#upkeep = new Upkeep(system, { parts, identity, supervisor: this.#supervisor })
    parts.hooks.serveFrom({
      ...{ system, workers: this.#supervisor.workers, resolved: parts.resolved },
      ...{ rollout: this.#rollout, headcount: this.#headcount },
    })
  }

  /** Runs until it is told to stop; the result is the exit status. */
  async run(): Promise<number> {
    const { resolved, version, hooks } = this.#parts
    logLine(this.#log, 'starting', version)
    this.#identity.take(resolved.values)
    const release = hooks.catchStrays(this.#system)
    try {
      this.#succession.watch()
      this.#rollout.start(resolved, () => hooks.begin(resolved, this.#headcount.wanted))
      return await this.#loop()
    } finally {
      release()
      this.#clock.stop()
      this.#reloader.close()
      this.#identity.release()
      this.#succession.release()
    }
  }

  async #loop(): Promise<number> {
    while (this.#life !== 'stopping' || this.#supervisor.workers.size > 0) {
      this.#clock.arm(Math.min(this.#supervisor.dueMs(), this.#parts.notifier.dueMs()))
      this.#handle(await this.#queue.take())
      this.#doRemembered()
      this.#reconcile()
    }
    logLine(this.#log, this.#reason === undefined ? 'shutDown' : 'shutDownAfterError')
    if (this.#reason !== undefined) logLine(this.#log, 'shutdownReason', this.#reason)
    await this.#parts.hooks.end(this.#system, this.#queue.asked('quit'))
    return this.#status
  }

  #handle(event: ArbiterEvent): void {
    switch (event.type) {
      case 'signal':
        return this.#handleSignal(event.signal)
      case 'opened':
        if (this.#life === 'stopping') return this.#rollout.discard(event.generation)
        this.#parts.hooks.use(event.generation.config)
        return this.#rollout.handleOpened(event.generation, event.warnings)
      case 'openFailed':
        return this.#handleOpenFailed(event.error)
      case 'begun':
        this.#begun = true
        return
      case 'message':
        return this.#supervisor.handleMessage(event.worker, event.message)
      case 'exit':
        event.worker.exit = event.exit
        return this.#supervisor.apply(event.worker, 'exit')
      case 'successorReady':
        return this.#succession.handleSuccessorReady(event.pid)
      case 'successorExit':
        this.#succession.handleSuccessorExit(event.pid, event.exit)
        // Else nobody would serve.
        return this.#headcount.wake()
      case 'promoted':
        return this.#handlePromoted()
      case 'changed':
        if (!this.#reloader.noteChanged(event.files)) return this.#supervisor.restart()
        return this.#react('reload', REACTIONS[this.#phase].reload)
      case 'tick':
        return this.#handleTick()
      default:
        return assertNever(event)
    }
  }

  /** Steps towards the wanted workers until something must happen first. */
  #reconcile(): void {
    const { current } = this.#rollout
    if (this.#life === 'stopping' || current === undefined || !this.#begun) return
    for (;;) {
      const nowMs = this.#system.now()
      const step = nextStep({
        wanted: this.#headcount.wanted,
        workers: this.#supervisor.workers.list(),
        current,
        trial: this.#rollout.trial,
        maySpawn: this.#supervisor.maySpawn(nowMs),
        surge: current.config.max_surge,
        boots: this.#parts.processors,
        nowMs,
      })
      if (step.type === 'wait') return
      if (step.type === 'settled') return this.#finishReload()
      if (step.type === 'retire') this.#supervisor.apply(step.worker, 'retire')
      // Every slot is taken by a worker that has not ended yet: its end comes as an event.
      else if (!this.#supervisor.spawn(step.generation)) return
    }
  }

  get #phase(): Phase {
    if (this.#life !== 'running') return this.#life
    const accompanied = this.#succession.successor !== undefined
    if (this.#headcount.isResting) return accompanied ? 'relieved' : 'resting'
    if (this.#rollout.underWay) return 'reloading'
    if (accompanied) return 'upgrading'
    return this.#succession.elder === undefined ? 'serving' : 'succeeding'
  }

  #handleSignal(signal: SignalName): void {
    logLine(this.#log, 'handlingSignal', signal.toLowerCase())
    const role = SIGNALS[signal].arbiter
    if (role !== 'reap' && role !== 'default') this.#react(role, REACTIONS[this.#phase][role])
  }

  #react(request: Request, reaction: Reaction): void {
    switch (reaction) {
      case 'stop':
        return this.#stop('retire')
      case 'quit':
        return this.#stop('quit')
      case 'hurry':
        return this.#hurry()
      case 'reload':
        this.#parts.notifier.reloading()
        return this.#rollout.reload()
      case 'more':
        return this.#headcount.grow()
      case 'fewer':
        return this.#headcount.shrink()
      case 'reopen':
        return this.#reopenLogs()
      case 'upgrade':
        if (this.#rollout.current === undefined) return
        if (this.#parts.hooks.call('pre_exec').failed) return
        return this.#succession.start(this.#rollout.current, this.#further.list())
      case 'rest':
        return this.#rest()
      case 'wake':
        this.#headcount.wake()
        return logLine(this.#log, 'restartingAllWorkers')
      case 'wakeAndReload':
        this.#headcount.wake()
        this.#remembered.add(request)
        return
      case 'remember':
        this.#remembered.add(request)
        return
      case 'refuse':
        return this.#succession.refuse(request === 'reload' ? 'HUP' : 'USR2')
      case 'ignore':
        return
      default:
        return assertNever(reaction)
    }
  }

  #doRemembered(): void {
    for (const request of this.#remembered) {
      const reaction = REACTIONS[this.#phase][request]
      if (reaction === 'remember') continue
      this.#remembered.delete(request)
      this.#react(request, reaction)
    }
  }

  #handlePromoted(): void {
    this.#succession.promote()
    if (this.#life === 'stopping') return
    this.#parts.notifier.promoted()
    try {
      this.#identity.promote()
    } catch (error) {
      this.#rollout.say(error)
    }
  }

  #rest(): void {
    if (this.#rollout.current?.config.daemon !== true && this.#succession.successor === undefined) {
      return logLine(this.#log, 'winchIgnored')
    }
    this.#headcount.rest()
  }

  #stop(event: 'retire' | 'quit'): void {
    this.#life = 'stopping'
    this.#parts.notifier.stopping(this.#succession.successor)
    this.#rollout.closeAll()
    this.#further.closeAll()
    for (const worker of this.#supervisor.workers.list()) this.#supervisor.apply(worker, event)
  }

  #hurry(): void {
    logLine(this.#log, 'quickShutdown')
    for (const worker of this.#supervisor.workers.list()) this.#supervisor.apply(worker, 'quit')
  }

  /** The start has failed: there is nothing to keep. */
  #halt(status: number, reason: string | undefined): void {
    this.#status = status
    this.#reason = reason
    this.#stop('quit')
  }

  #reopenLogs(): void {
    try {
      if (this.#rollout.current !== undefined) this.#parts.prepareLogs(this.#rollout.current.config)
      this.#log.reopen()
    } catch (error) {
      // The old files stay in use.
      this.#rollout.say(error)
    }
    this.#supervisor.reopenLogs()
  }

  /** Beside the loop, which goes on: hooks may wait for something. */
  async #prepare({ config }: Generation): Promise<void> {
    this.#parts.prepareLogs(config)
    if (this.#rollout.current !== undefined) await this.#parts.hooks.wait(config, 'on_reload')
  }

  #handleOpenFailed(error: unknown): void {
    if (this.#life === 'stopping') return
    if (this.#begun) {
      this.#rollout.abandon(error)
      return this.#announce()
    }
    this.#rollout.say(error)
    this.#halt(error instanceof MonocerosError ? error.exit : 1, undefined)
  }

  #handleReady(worker: WorkerHandle): void {
    if (this.#life === 'starting') this.#life = 'running'
    this.#rollout.handleReady(worker)
    if (!this.#announced && this.#supervisor.servingCount() >= this.#headcount.wanted) {
      this.#announced = true
      this.#further.closeUnused()
      this.#announce()
      this.#succession.tellReady()
    }
  }

  /** Tells systemd that everything is up, or again as it was. */
  #announce(): void {
    if (this.#life !== 'running') return
    this.#parts.notifier.ready(`${this.#headcount.wanted} workers serve`)
  }

  #handleBootFailure(worker: WorkerHandle, failure: BootFailure): void {
    if (this.#life === 'stopping') return
    this.#log.error(failure.text)
    if (this.#life === 'starting') {
      const reason =
        failure.exit === APP_LOAD_ERROR ? 'App failed to load.' : 'Worker failed to boot.'
      return this.#halt(failure.exit, reason)
    }
    if (this.#rollout.handleBootFailure(worker)) {
      if (this.#rollout.current !== undefined) this.#parts.hooks.use(this.#rollout.current.config)
      return this.#announce()
    }
    this.#supervisor.deaths.record(worker, false)
    if (this.#remembered.has('reload')) this.#rollout.end()
  }

  #handleCurrent(generation: Generation, previous: Generation | undefined): void {
    const { config, listeners } = generation
    const sayListening = () =>
      logLine(this.#log, 'listening', shownAddresses(generation), this.#system.pid)
    this.#reloader.follow(generation)
    if (previous === undefined) {
      sayListening()
      logLine(this.#log, 'usingEngine', this.#parts.engine)
      this.#parts.hooks.wait(config, 'when_ready').then(
        () => this.#queue.push({ type: 'begun' }),
        (error: unknown) => this.#queue.push({ type: 'openFailed', error }),
      )
      return
    }
    this.#headcount.reset(config.workers)
    this.#supervisor.deaths.policy.reset()
    // A log or pidfile that cannot be written is no reason to end a server that serves.
    const attempt = (step: () => void) => {
      try {
        step()
      } catch (error) {
        this.#rollout.say(error)
      }
    }
    attempt(() => takeKept(generation, previous))
    attempt(() => this.#log.configure(config))
    attempt(() => this.#identity.take(config))
    if (listeners.some((listener) => !hasSocket(previous.listeners, listener))) sayListening()
  }

  #finishReload(): void {
    if (!this.#rollout.isRolling) return
    // The last old worker has been told to leave and may not know it yet.
    if (this.#supervisor.someLeave()) return
    logLine(this.#log, 'reloadComplete')
    this.#rollout.end()
    this.#further.closeUnused()
    this.#announce()
    this.#doRemembered()
  }

  #handleTick(): void {
    const { late, second } = this.#clock.read()
    this.#supervisor.check({ late })
    this.#parts.notifier.tick()
    if (!second) return
    this.#succession.tick()
    this.#upkeep.everySecond(this.#rollout.current)
  }
}
