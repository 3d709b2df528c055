/**
 * A worker process: one queue of notices and one loop. The loop looks each notice up in the
 * lifecycle table (`states.ts`), performs the action and enters the next state. `Boot` and `Drain`
 * do the work that takes time.
 */

import { assertNever } from '../errors.ts'
import { observeListening } from '../http/node/fake-handle.ts'
import { logLine } from '../log/log-lines.ts'
import { IDLE_DRAIN_MS, IDLE_DRAIN_WITH_SUCCESSOR_MS, RESTART_DRAIN_MS } from '../messages.ts'
import { flushCompileCache } from '../process/compile-cache.ts'
import type { System } from '../process/system.ts'
import { SIGNALS, type SignalName, WORKER_SIGNALS } from '../signals.ts'
import { watchAppSigterm } from './app-sigterm.ts'
import { Boot } from './boot.ts'
import type { Channel } from './channel.ts'
import { answerDiagnosis } from './diagnosis.ts'
import { Drain, type DrainPlan } from './drain.ts'
import { applyTls } from './https-servers.ts'
import { MetricsReporter } from './metrics-reporter.ts'
import { type Notice, NoticeQueue, type ReadyNotice } from './notices.ts'
import type { WorkerParts } from './parts.ts'
import { LIFECYCLE, type LifecycleAction, type LifecycleState } from './states.ts'
import { StatusTitle } from './status-title.ts'
import { startWatcher } from './watcher.ts'

/** Time limit of a drain after the arbiter's death: another arbiter can bind the port at once. */
const ORPHAN_DRAIN_MS = 1_500
/** Time limit of a promise that the hook `worker_exit` returns. */
const EXIT_HOOK_MS = 1_000
/** Interval between two updates of the process title. */
const TITLE_MS = 1_000
/**
 * Delay from ready to writing the compile cache for the next worker: the first requests compile
 * code too.
 */
const FLUSH_CACHE_MS = 2_000

/** The worker of this process. */
export class Worker {
  readonly #system: System
  readonly #channel: Channel
  readonly #arbiterPid = process.ppid
  readonly #queue = new NoticeQueue((notice) => this.#handle(notice))
  readonly #parts: WorkerParts = {}
  readonly #title = new StatusTitle()
  #state: LifecycleState = 'booting'
  #drain: Drain | undefined
  /** How long a drain keeps idle connections. */
  #idleMs = IDLE_DRAIN_WITH_SUCCESSOR_MS

  constructor(system: System, channel: Channel) {
    this.#system = system
    this.#channel = channel
  }

  /** Subscribes to signals and to the arbiter's messages; the boot message starts the rest. */
  start(): void {
    for (const signal of WORKER_SIGNALS) {
      this.#system.onSignal(signal, () => this.#pushSignal(signal))
    }
    this.#channel.onClose(() => this.#queue.push({ type: 'orphaned' }))
    const reporter = new MetricsReporter(this.#system, this.#channel, this.#parts)
    this.#channel.onMessage((message) => {
      if (message.type === 'collectMetrics') reporter.report(message.known)
      else if (message.type === 'announceStop') this.#parts.engine?.announceStop?.()
      else if (message.type === 'lead') this.#parts.oneWorker?.lead()
      else if (message.type === 'diagnose') answerDiagnosis(this.#channel, message)
      else this.#queue.push(message)
    })
  }

  #pushSignal(signal: SignalName): void {
    const type = SIGNALS[signal].worker
    if (type === 'drain' || type === 'quit') this.#queue.push({ type, signal })
    if (type === 'reopenLogs') this.#queue.push({ type })
  }

  /** One turn of the loop: the action runs in the old state. */
  #handle(notice: Notice): void {
    const { next, action } = LIFECYCLE[this.#state][notice.type]
    this.#perform(action, notice)
    if (next === this.#state) return
    this.#state = next
    this.#enter(next, notice)
  }

  #perform(action: LifecycleAction, notice: Notice): void {
    const { hooks, log, engine } = this.#parts
    switch (action) {
      case 'none':
        return
      case 'startBoot':
        return this.#startBoot(notice)
      case 'startTitleUpdates':
        this.#system.every(TITLE_MS, () => this.#showTitle())
        return
      case 'observeServer':
        return this.#observeServer(notice)
      case 'notifyLeaving':
        return this.#notifyLeaving(notice)
      case 'notifyLeavingAndInterrupt':
        this.#notifyLeaving(notice)
        hooks?.callHook('worker_int')
        return
      case 'interrupt':
        hooks?.callHook('worker_int')
        return
      case 'callAbortHook':
        hooks?.callHook('worker_abort')
        return
      case 'planGracefulDrain':
        this.#notifyLeaving(notice)
        return this.#planGracefulDrain()
      case 'planRestartDrain':
        hooks?.callHook('worker_int')
        return this.#planDrain({ graceMs: RESTART_DRAIN_MS, endsWhenIdle: true })
      case 'planOrphanDrain':
        this.#limitDrain()
        return this.#planDrain({ graceMs: ORPHAN_DRAIN_MS })
      case 'limitDrain':
        return this.#limitDrain()
      case 'shortenIdleTime':
        this.#idleMs = IDLE_DRAIN_MS
        return this.#drain?.shortenIdleTime()
      case 'handleUncaught':
        return this.#handleUncaught()
      case 'pauseAccepting':
        if (log !== undefined) logLine(log, 'serverClosedByApp')
        return engine?.pause()
      case 'resumeAccepting':
        // Another worker can listen where this one cannot.
        if (engine?.resume() === false) this.#channel.send({ type: 'uncaughtError' })
        return
      case 'reopenLogs':
        return this.#reopenLogs()
      case 'applyTls':
        if (notice.type === 'updateTls') applyTls(engine, log, notice)
        return
      default:
        return assertNever(action)
    }
  }

  #enter(state: LifecycleState, notice: Notice): void {
    if (state === 'serving' && notice.type === 'ready') this.#enterServing(notice)
    if (state === 'draining' || state === 'exiting') this.#parts.oneWorker?.stop()
    if (state === 'draining') this.#enterDraining()
    if (state === 'exiting') this.#enterExiting(statusOf(notice))
    if (state === 'failing') this.#enterFailing(notice)
    if (state === 'gone') this.#system.exit(statusOf(notice))
  }

  #startBoot(notice: Notice): void {
    if (notice.type !== 'boot') return
    this.#parts.config = notice.config
    this.#showTitle()
    const context = {
      channel: this.#channel,
      parts: this.#parts,
      arbiterPid: this.#arbiterPid,
      isBooting: () => this.#state === 'booting' || this.#state === 'starting',
      isServing: () => this.#state === 'serving',
      push: (next: Notice) => this.#queue.push(next),
    }
    void new Boot(this.#system, context, notice).run()
  }

  /**
   * The engine stops accepting when the program closes its server, and accepts again when it
   * listens again.
   */
  #observeServer(notice: Notice): void {
    if (notice.type !== 'ready' || notice.target.style !== 'node') return
    observeListening(notice.target.server, {
      onClose: () => this.#queue.push({ type: 'serverClosed' }),
      onListen: () => this.#queue.push({ type: 'serverListening' }),
    })
  }

  #enterServing({ heartbeat }: ReadyNotice): void {
    const { board, config, engine, log } = this.#parts
    if (engine === undefined || config === undefined || log === undefined) return
    board?.setState('accepting')
    this.#channel.send({ type: 'ready', engine: engine.name })
    void this.#system.sleep(FLUSH_CACHE_MS).then(flushCompileCache)
    this.#showTitle()
    // After `ready`, because a thread takes milliseconds to start.
    heartbeat.addObserver(startWatcher(log, config.timeout * 1_000))
  }

  #planGracefulDrain(): void {
    const { config, log } = this.#parts
    const graceMs = (config?.graceful_timeout ?? 0) * 1_000
    const appSigterm = watchAppSigterm(this.#system, { log, limitMs: graceMs })
    this.#planDrain({ graceMs, appSigterm })
  }

  #planDrain(plan: Omit<DrainPlan, 'idleMs'>): void {
    this.#drain = new Drain(this.#system, {
      channel: this.#channel,
      parts: this.#parts,
      plan: { ...plan, idleMs: this.#idleMs },
    })
  }

  /** Not `sleep`, which does not keep the process alive. */
  #limitDrain(): void {
    this.#system.after(ORPHAN_DRAIN_MS, () => this.#queue.push({ type: 'overdue' }))
  }

  #enterDraining(): void {
    const drain = this.#drain
    if (drain === undefined) return
    this.#parts.board?.setState('draining')
    this.#showTitle()
    void drain.run().then(() => this.#queue.push({ type: 'drained' }))
    void this.#system.sleep(drain.graceMs).then(() => this.#queue.push({ type: 'overdue' }))
  }

  #enterExiting(status: number): void {
    const { board, engine, hooks } = this.#parts
    board?.setState('gone')
    engine?.close()
    const pending = hooks?.callHook('worker_exit')
    const done = () => this.#queue.push({ type: 'exitHookDone', status })
    if (!(pending instanceof Promise)) return done()
    const timeout = new Promise<void>((expire) => void this.#system.after(EXIT_HOOK_MS, expire))
    void Promise.race([pending, timeout]).then(done)
  }

  /** Reports the failed boot to the arbiter, which logs it once for all workers. */
  #enterFailing(notice: Notice): void {
    if (notice.type !== 'failed') return
    const { code, message, exit } = notice.error
    this.#channel.sendLast({ type: 'bootFailed', code, message, exitStatus: exit }, () =>
      this.#queue.push({ type: 'failureSent', status: exit }),
    )
  }

  /**
   * The arbiter recognizes its own signals. For any other it starts a successor now rather than
   * after the drain, and does not count an exit during the boot as a failure.
   */
  #notifyLeaving(notice: Notice): void {
    if (notice.type !== 'drain' && notice.type !== 'quit') return
    this.#channel.send({ type: 'signaled', signal: notice.signal })
  }

  #handleUncaught(): void {
    const reaction = this.#parts.config?.on_uncaught
    if (reaction === 'recycle') this.#channel.send({ type: 'uncaughtError' })
    // On Node the error would also end what the application does on SIGTERM.
    if (reaction !== 'continue') this.#drain?.stopWaitingForApp()
    // In the next turn of the event loop: responses that are written now are still sent.
    if (reaction === 'exit') {
      this.#system.after(0, () => this.#queue.push({ type: 'crash', status: 1 }))
    }
  }

  #reopenLogs(): void {
    const { log, engine } = this.#parts
    // Each for itself: a file that cannot be opened keeps its descriptor and does not stop the
    // other one.
    for (const reopen of [() => log?.reopen(), () => engine?.reopenLog()]) {
      try {
        reopen()
      } catch (error) {
        log?.error(error instanceof Error ? error.message : String(error))
      }
    }
  }

  #showTitle(): void {
    const { config, engine } = this.#parts
    const name = config?.proc_name ?? config?.app ?? 'monoceros'
    this.#title.show(name, this.#state, engine?.counters().inFlight ?? 0)
  }
}

function statusOf(notice: Notice): number {
  return 'status' in notice ? notice.status : 0
}
