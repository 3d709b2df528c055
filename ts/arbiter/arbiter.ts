/**
 * The arbiter: one queue of events, one loop that takes one event, decides by a table, and moves the set of workers
 * one step nearer to the wanted one. It never waits inside a decision and runs no code of the application.
 */
import { assertNever, MonocerosError } from '../errors.ts'
import { say } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { ARBITER_SIGNALS, SIGNALS, type SignalName } from '../signals.ts'
import { Clock } from './clock.ts'
import { type ArbiterEvent, EventQueue } from './events.ts'
import { FurtherListeners } from './further.ts'
import { type Generation, shownAddresses } from './generation.ts'
import { Headcount } from './headcount.ts'
import { Identity } from './identity.ts'
import type { ArbiterParts } from './parts.ts'
import { type Phase, REACTIONS, type Reaction, type Request } from './reactions.ts'
import { nextStep } from './reload.ts'
import { Reloader } from './reloader.ts'
import { Rollout } from './rollout.ts'
import { Succession } from './succession.ts'
import { Supervisor } from './supervisor.ts'
import { Upkeep } from './upkeep.ts'
import type { BootFailure, WorkerHandle } from './worker-handle.ts'

/** How long a quick stop may take after a second signal, and the stop after a failed start. */
const QUICK_STOP_MS = 2_000
/** Gunicorn's exit code of a worker whose application has no such callable. */
const APP_LOAD_ERROR = 4

export class Arbiter {
  readonly #system: System
  readonly #parts: ArbiterParts
  readonly #log: Logger
  readonly #queue = new EventQueue()
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
  /** As many workers as wanted have been ready once. */
  #announced = false
  #status = 0
  #reason: string | undefined

  constructor(system: System, parts: ArbiterParts) {
    this.#system = system
    this.#parts = parts
    this.#log = parts.log
    this.#further = new FurtherListeners(parts.log, parts.further)
    this.#clock = new Clock(system, this.#queue)
    const { log, board } = parts
    const queue = this.#queue
    const { workers } = parts.resolved.values
    this.#headcount = new Headcount(log, { workers, slots: board.slots }, (now, before) =>
      parts.hooks.call('nworkers_changed', now, before),
    )
    this.#succession = new Succession(system, { ...parts, queue })
    this.#identity = new Identity(parts, { succeeding: this.#succession.elder !== undefined })
    this.#reloader = new Reloader({ ...parts, queue, cwd: parts.program.cwd })
    this.#rollout = new Rollout({
      ...{ log, queue, open: parts.open, load: parts.load },
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
    const { resolved, version } = this.#parts
    say(this.#log, 'starting', version)
    // Before anybody can read in the pidfile whom to send one.
    for (const signal of ARBITER_SIGNALS) {
      this.#system.onSignal(signal, () => this.#queue.push({ type: 'signal', signal }))
    }
    this.#identity.take(resolved.values)
    await this.#parts.hooks.begin(resolved, this.#headcount.wanted)
    this.#succession.watch()
    this.#rollout.start(resolved)
    try {
      return await this.#loop()
    } finally {
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
    say(this.#log, this.#reason === undefined ? 'stopped' : 'stoppedBadly')
    if (this.#reason !== undefined) say(this.#log, 'reason', this.#reason)
    await this.#parts.hooks.end(this.#system)
    return this.#status
  }

  #handle(event: ArbiterEvent): void {
    switch (event.type) {
      case 'signal':
        return this.#handleSignal(event.signal)
      case 'opened':
        if (this.#life === 'stopping') return this.#rollout.discard(event.generation)
        return this.#handleOpened(event.generation, event.warnings)
      case 'openFailed':
        return this.#handleOpenFailed(event.error)
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
    if (this.#life === 'stopping' || current === undefined) return
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
    say(this.#log, 'signal', signal.toLowerCase())
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
        return say(this.#log, 'back')
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
      return say(this.#log, 'restRefused')
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
    say(this.#log, 'hurry')
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

  #handleOpened(generation: Generation, warnings: readonly string[]): void {
    const { current } = this.#rollout
    const { hooks } = this.#parts
    hooks.use(generation.config)
    if (current === undefined || !hooks.call('on_reload').failed) {
      return this.#rollout.handleOpened(generation, warnings)
    }
    hooks.use(current.config)
    this.#rollout.discard(generation)
    this.#abandoned(undefined)
  }

  #handleOpenFailed(error: unknown): void {
    if (this.#life === 'stopping') return
    if (this.#rollout.current !== undefined) return this.#abandoned(error)
    this.#rollout.say(error)
    this.#halt(error instanceof MonocerosError ? error.exit : 1, undefined)
  }

  #abandoned(error: unknown): void {
    this.#rollout.abandon(error)
    this.#announce()
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
    if (this.#rollout.handleBootFailure(worker)) return this.#announce()
    this.#supervisor.deaths.record(worker, false)
    if (this.#remembered.has('reload')) this.#rollout.end()
  }

  #handleCurrent(generation: Generation, previous: Generation | undefined): void {
    const { config, listeners } = generation
    const sayListening = () =>
      say(this.#log, 'listening', shownAddresses(generation), this.#system.pid)
    this.#reloader.follow(generation)
    if (previous === undefined) {
      this.#parts.prepareLogs(config)
      sayListening()
      say(this.#log, 'engine', this.#parts.engine)
      if (this.#parts.hooks.call('when_ready').failed) this.#halt(1, 'A hook failed.')
      return
    }
    this.#headcount.reset(config.workers)
    this.#supervisor.deaths.policy.reset()
    try {
      this.#log.configure(config)
      this.#parts.prepareLogs(config)
      this.#identity.take(config)
    } catch (error) {
      // A log or pidfile that cannot be written is no reason to end a server that serves.
      this.#rollout.say(error)
    }
    if (listeners.some((listener) => !previous.listeners.includes(listener))) sayListening()
  }

  #finishReload(): void {
    if (!this.#rollout.isRolling) return
    // The last old worker has been told to leave and may not know it yet.
    if (this.#supervisor.someLeave()) return
    say(this.#log, 'reloaded')
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
