/**
 * The arbiter: one queue of events and one loop. The loop takes one event, looks up the reaction in
 * a table, and moves the set of workers one step closer to the wanted set. It never waits inside a
 * decision and never runs application code.
 */
import { assertNever, MonocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { SIGNALS, type SignalName } from '../signals.ts'
import type { Clock } from './clock.ts'
import { createCollaborators } from './collaborators.ts'
import type { Commands } from './commands.ts'
import type { ArbiterDependencies } from './dependencies.ts'
import type { DevReload } from './dev-reload.ts'
import type { ArbiterEvent, EventQueue } from './events.ts'
import type { ExtraListeners } from './extra-listeners.ts'
import {
  formatListenerAddresses,
  type Generation,
  includesSocket,
  updateSharedListeners,
} from './generation.ts'
import type { Housekeeping } from './housekeeping.ts'
import {
  type Phase,
  REACTIONS,
  type Reaction,
  type SignalRequest,
  whyIgnored,
} from './reactions.ts'
import { nextStep } from './reconcile.ts'
import type { Rollout } from './rollout.ts'
import type { Supervisor } from './supervisor.ts'
import type { TitleAndPidfile } from './title-and-pidfile.ts'
import type { ArbiterUpgrade } from './upgrade.ts'
import type { WorkerCount } from './worker-count.ts'
import { type BootFailure, describeFailedStart, type WorkerHandle } from './worker-handle.ts'

/** The process that supervises the workers. `run` returns when it has stopped. */
export class Arbiter {
  readonly #system: System
  readonly #dependencies: ArbiterDependencies
  readonly #log: Logger
  readonly #queue: EventQueue
  readonly #clock: Clock
  readonly #commands: Commands
  readonly #supervisor: Supervisor
  readonly #rollout: Rollout
  readonly #upgrade: ArbiterUpgrade
  readonly #workerCount: WorkerCount
  readonly #titleAndPidfile: TitleAndPidfile
  readonly #extraListeners: ExtraListeners
  readonly #devReload: DevReload
  readonly #housekeeping: Housekeeping
  /** Requests by signals that the current phase does not allow yet. */
  readonly #deferredRequests = new Set<SignalRequest>()
  #lifecycle: 'starting' | 'running' | 'stopping' = 'starting'
  /** True once the hooks `on_starting` and `when_ready` have returned. */
  #canStartWorkers = false
  /** True once the wanted number of workers has been ready for the first time. */
  #hasNotifiedReady = false
  #exitStatus = 0
  #startFailure: string | undefined

  constructor(system: System, dependencies: ArbiterDependencies) {
    this.#system = system
    this.#dependencies = dependencies
    this.#log = dependencies.log
    this.#queue = dependencies.queue
    const collaborators = createCollaborators(system, dependencies, {
      getPhase: () => this.#phase,
      applyReaction: (request, reaction) => this.#applyReaction(request, reaction),
      prepareGeneration: (generation) => this.#prepareGeneration(generation),
      onCurrentChanged: (generation, previous) => this.#handleCurrent(generation, previous),
      onReady: (worker) => this.#handleReady(worker),
      onBootFailure: (worker, failure) => this.#handleBootFailure(worker, failure),
    })
    this.#clock = collaborators.clock
    this.#commands = collaborators.commands
    this.#supervisor = collaborators.supervisor
    this.#rollout = collaborators.rollout
    this.#upgrade = collaborators.upgrade
    this.#workerCount = collaborators.workerCount
    this.#titleAndPidfile = collaborators.titleAndPidfile
    this.#extraListeners = collaborators.extraListeners
    this.#devReload = collaborators.devReload
    this.#housekeeping = collaborators.housekeeping
  }

  /** Runs until a signal stops the arbiter; resolves to the exit status of the process. */
  async run(): Promise<number> {
    const { settings, version, hooks } = this.#dependencies
    logLine(this.#log, 'starting', version)
    this.#titleAndPidfile.applySettings(settings.values)
    const release = hooks.logUncaughtErrors(this.#system)
    try {
      this.#upgrade.watchPredecessor()
      this.#rollout.start(settings, () => hooks.runStartHooks(settings, this.#workerCount.wanted))
      return await this.#loop()
    } finally {
      release()
      this.#clock.stop()
      this.#devReload.close()
      this.#titleAndPidfile.remove()
      this.#upgrade.closeChannels()
    }
  }

  async #loop(): Promise<number> {
    while (this.#lifecycle !== 'stopping' || this.#supervisor.workers.size > 0) {
      this.#clock.scheduleTick(
        Math.min(this.#supervisor.nextDeadlineMs(), this.#dependencies.notifier.nextWatchdogMs()),
      )
      this.#handle(await this.#queue.take())
      this.#runDeferredRequests()
      this.#reconcile()
      this.#housekeeping.chooseLeader()
      this.#commands.answerPending()
    }
    logLine(this.#log, this.#startFailure === undefined ? 'shutDown' : 'shutDownAfterError')
    if (this.#startFailure !== undefined) logLine(this.#log, 'shutdownReason', this.#startFailure)
    await this.#dependencies.hooks.runExitHook(this.#system, this.#queue.waitForSignal('quit'))
    return this.#exitStatus
  }

  #handle(event: ArbiterEvent): void {
    switch (event.type) {
      case 'signal':
        return this.#handleSignal(event.signal)
      case 'generationOpened':
        if (this.#lifecycle === 'stopping') return this.#rollout.discard(event.generation)
        this.#dependencies.hooks.activate(event.generation.config)
        return this.#rollout.handleOpened(event.generation, event.warnings)
      case 'generationFailed':
        return this.#handleOpenFailed(event.error)
      case 'startHooksDone':
        this.#canStartWorkers = true
        return
      case 'workerMessage':
        return this.#supervisor.handleMessage(event.worker, event.message)
      case 'workerExit':
        event.worker.exit = event.exit
        return this.#supervisor.applyEvent(event.worker, 'exit')
      case 'peerMessage':
        return this.#upgrade.handlePeerMessage(event.message)
      case 'successorExit':
        this.#upgrade.handleSuccessorExit(event.pid, event.exit)
        // The workers start again: no other arbiter serves any more.
        return this.#workerCount.resume()
      case 'predecessorExit':
        return this.#handlePredecessorExit()
      case 'filesChanged':
        if (!this.#devReload.handleChanged(event.files)) return this.#supervisor.restartWorkers()
        return this.#applyReaction('reload', REACTIONS[this.#phase].reload)
      case 'command':
        return this.#commands.handle(event.call)
      case 'tick':
        return this.#handleTick()
      default:
        return assertNever(event)
    }
  }

  /** Performs steps toward the wanted set of workers until a step has to wait for an event. */
  #reconcile(): void {
    const { currentGeneration } = this.#rollout
    if (this.#lifecycle === 'stopping' || currentGeneration === undefined || !this.#canStartWorkers)
      return
    for (;;) {
      const nowMs = this.#system.now()
      const step = nextStep({
        wantedCount: this.#workerCount.wanted,
        workers: this.#supervisor.workers.list(),
        currentGeneration,
        trialGeneration: this.#rollout.trialGeneration,
        canSpawn: this.#supervisor.canSpawn(nowMs),
        maxSurge: currentGeneration.config.max_surge,
        maxBooting: this.#dependencies.processorCount,
        nowMs,
      })
      if (step.type === 'wait') return
      if (step.type === 'settled') return this.#finishReload()
      if (step.type === 'retire') this.#supervisor.applyEvent(step.worker, 'retire')
      // Every slot is taken by a worker that is still running: its exit is the next event.
      else if (!this.#supervisor.spawn(step.generation)) return
    }
  }

  get #phase(): Phase {
    if (this.#lifecycle !== 'running') return this.#lifecycle
    const hasSuccessor = this.#upgrade.successorPid !== undefined
    if (this.#workerCount.isPaused) return hasSuccessor ? 'pausedForSuccessor' : 'paused'
    if (this.#rollout.isReloading) return 'reloading'
    if (hasSuccessor) return 'upgrading'
    return this.#upgrade.predecessorPid === undefined ? 'serving' : 'takingOver'
  }

  #handleSignal(signal: SignalName): void {
    const role = SIGNALS[signal].arbiter
    if (role === 'reap' || role === 'default') return
    const reaction =
      this.#canPause || role !== 'pauseWorkers' ? REACTIONS[this.#phase][role] : 'ignore'
    if (reaction === 'ignore') logLine(this.#log, 'signalIgnored', signal, whyIgnored(this.#phase))
    else if (reaction !== 'refuse') logLine(this.#log, 'handlingSignal', signal.toLowerCase())
    this.#applyReaction(role, reaction)
  }

  /** A terminal sends WINCH when its size changes. */
  get #canPause(): boolean {
    const config = this.#rollout.currentGeneration?.config ?? this.#dependencies.settings.values
    return config.daemon || this.#upgrade.successorPid !== undefined
  }

  #applyReaction(request: SignalRequest, reaction: Reaction): void {
    switch (reaction) {
      case 'stop':
        return this.#housekeeping.deferStop() ? undefined : this.#stop('retire')
      case 'quit':
        return this.#stop('quit')
      case 'quitWorkers':
        return this.#quitWorkers()
      case 'reload':
        this.#dependencies.notifier.notifyReloading()
        return this.#rollout.reload()
      case 'addWorker':
        return this.#workerCount.increment()
      case 'removeWorker':
        return this.#workerCount.decrement()
      case 'reopenLogs':
        this.#commands.reopenLogs()
        return
      case 'upgrade':
        if (this.#rollout.currentGeneration === undefined) return
        if (this.#dependencies.hooks.call('pre_exec').hasFailed) return
        return this.#upgrade.start(this.#rollout.currentGeneration, this.#extraListeners.listOpen())
      case 'pauseWorkers':
        // A deferred request may be out of date.
        return this.#canPause ? this.#workerCount.pause() : undefined
      case 'resumeWorkers':
        this.#workerCount.resume()
        return logLine(this.#log, 'restartingAllWorkers')
      case 'resumeAndReload':
        this.#workerCount.resume()
        this.#deferredRequests.add(request)
        return
      case 'defer':
        this.#deferredRequests.add(request)
        return
      case 'refuse':
        return this.#upgrade.logRefusal(request === 'reload' ? 'HUP' : 'USR2')
      case 'ignore':
        return
      default:
        return assertNever(reaction)
    }
  }

  #runDeferredRequests(): void {
    for (const request of this.#deferredRequests) {
      const reaction = REACTIONS[this.#phase][request]
      if (reaction === 'defer') continue
      this.#deferredRequests.delete(request)
      this.#applyReaction(request, reaction)
    }
  }

  #handlePredecessorExit(): void {
    this.#upgrade.handlePredecessorExit()
    if (this.#lifecycle === 'stopping') return
    this.#dependencies.notifier.notifyPromoted()
    this.#attempt(() => this.#titleAndPidfile.dropSuccessorSuffix())
  }

  #stop(event: 'retire' | 'quit'): void {
    this.#lifecycle = 'stopping'
    this.#dependencies.notifier.notifyStopping(this.#upgrade.successorPid)
    this.#rollout.closeAll()
    this.#extraListeners.closeAll()
    this.#supervisor.applyEventToAll(event)
  }

  #quitWorkers(): void {
    logLine(this.#log, 'quickShutdown')
    this.#supervisor.applyEventToAll('quit')
  }

  /** Ends a failed start with an exit status, and the reason for the log if there is one. */
  #failStart(status: number, reason: string | undefined): void {
    this.#exitStatus = status
    this.#startFailure = reason
    this.#stop('quit')
  }

  /** Logs an error of a step that must not stop a running server. */
  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#rollout.logError(error)
    }
  }

  /** Runs beside the loop, because a hook may await something. */
  async #prepareGeneration({ config }: Generation): Promise<void> {
    this.#dependencies.prepareLogs(config)
    if (this.#rollout.currentGeneration !== undefined)
      await this.#dependencies.hooks.callAndWait(config, 'on_reload')
  }

  #handleOpenFailed(error: unknown): void {
    if (this.#lifecycle === 'stopping') return
    if (this.#canStartWorkers) {
      this.#rollout.abandon(error)
      return this.#notifyReady()
    }
    this.#rollout.logError(error)
    this.#failStart(error instanceof MonocerosError ? error.exit : 1, undefined)
  }

  #handleReady(worker: WorkerHandle): void {
    if (this.#lifecycle === 'starting') this.#lifecycle = 'running'
    this.#rollout.handleReady(worker)
    if (
      !this.#hasNotifiedReady &&
      this.#supervisor.workers.countServing() >= this.#workerCount.wanted
    ) {
      this.#hasNotifiedReady = true
      this.#extraListeners.closeUnused()
      const { wanted } = this.#workerCount
      logLine(this.#log, 'allReady', wanted, formatListenerAddresses(worker.generation))
      this.#notifyReady()
      this.#upgrade.notifyParentReady()
    }
  }

  /** Notifies systemd that the service is ready, or that a reload is complete. */
  #notifyReady(): void {
    if (this.#lifecycle !== 'running') return
    this.#dependencies.notifier.notifyReady(`${this.#workerCount.wanted} workers serve`)
  }

  #handleBootFailure(worker: WorkerHandle, failure: BootFailure): void {
    if (this.#lifecycle === 'stopping') return
    this.#log.error(failure.message)
    if (this.#lifecycle === 'starting') {
      return this.#failStart(failure.exitStatus, describeFailedStart(failure))
    }
    if (this.#rollout.handleBootFailure(worker)) {
      if (this.#rollout.currentGeneration !== undefined)
        this.#dependencies.hooks.activate(this.#rollout.currentGeneration.config)
      return this.#notifyReady()
    }
    this.#supervisor.crashes.recordExit(worker, false)
    if (this.#deferredRequests.has('reload')) this.#rollout.finish()
  }

  #handleCurrent(generation: Generation, previous: Generation | undefined): void {
    const { config, listeners } = generation
    const logListening = () =>
      logLine(this.#log, 'listening', formatListenerAddresses(generation), this.#system.pid)
    this.#devReload.applySettings(generation)
    if (previous === undefined) {
      logListening()
      logLine(this.#log, 'usingEngine', this.#dependencies.engineDescription)
      this.#dependencies.hooks.callAndWait(config, 'when_ready').then(
        () => this.#queue.push({ type: 'startHooksDone' }),
        (error: unknown) => this.#queue.push({ type: 'generationFailed', error }),
      )
      return
    }
    this.#workerCount.reset(config.workers)
    this.#supervisor.crashes.policy.reset()
    this.#attempt(() => updateSharedListeners(generation, previous))
    this.#attempt(() => this.#log.configure(config))
    this.#attempt(() => this.#titleAndPidfile.applySettings(config))
    if (listeners.some((listener) => !includesSocket(previous.listeners, listener))) logListening()
  }

  #finishReload(): void {
    if (!this.#rollout.isRolling) return
    // The last old worker has been asked to stop, but may not have received the signal yet.
    if (this.#supervisor.hasAwaitedDrain()) return
    logLine(this.#log, 'reloadComplete')
    this.#rollout.finish()
    this.#extraListeners.closeUnused()
    this.#notifyReady()
    this.#runDeferredRequests()
  }

  #handleTick(): void {
    const { isLate, isFullSecond } = this.#clock.classifyTick()
    this.#supervisor.checkDeadlines({ isLate })
    this.#dependencies.notifier.sendWatchdogIfDue()
    if (!isFullSecond) return
    this.#upgrade.resumeSuccessor()
    this.#housekeeping.runEverySecond(this.#rollout.currentGeneration)
  }
}
