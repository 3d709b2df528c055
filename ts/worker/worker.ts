/** The life of a worker: booting, ready, draining, gone. */
import type { Server } from 'node:http'
import { availableParallelism } from 'node:os'
import { createEngine } from '../engine/auto.ts'
import { backgroundEnded } from '../engine/background-work.ts'
import type { Engine, Target } from '../engine/engine.ts'
import { MonocerosError, monocerosError } from '../errors.ts'
import { observeListening } from '../http/node/fake-handle.ts'
import { findCollectors } from '../log/collectors.ts'
import { prepareLogger } from '../log/custom.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import {
  BOARD_FD,
  type BootMessage,
  CHANNEL_FD,
  IDLE_DRAIN_MS,
  PATIENT_DRAIN_MS,
  RESTART_MS,
  type WorkerMessage,
} from '../messages.ts'
import { native } from '../native/index.ts'
import { flushCompileCache } from '../process/compile-cache.ts'
import type { System } from '../process/system.ts'
import { processTitle, setTitle } from '../process/title.ts'
import { becomeUser } from '../process/user.ts'
import type { WorkerBoard } from '../scoreboard/board.ts'
import { ChannelBoard } from '../scoreboard/messages.ts'
import { SharedWorkerBoard } from '../scoreboard/shared.ts'
import { SIGNALS, type SignalName, WORKER_SIGNALS } from '../signals.ts'
import { type AppSigterm, watchAppSigterm } from './app-sigterm.ts'
import type { Channel } from './channel.ts'
import type { DevelopmentMode } from './development.ts'
import { ExtraServers } from './extra-listeners.ts'
import { type Heartbeat, startHeartbeat } from './heartbeat.ts'
import type { WorkerHooks } from './hooks.ts'
import { applyServerTls, applyTls, currentTls } from './https-servers.ts'
import { installIpcShim } from './ipc-shim.ts'
import { findLifespan, type Lifespan } from './lifespan.ts'
import { loadTarget } from './load-target.ts'
import { openErrorLog, resolveAccessLog } from './logs.ts'
import { makeStdioBlocking } from './sync-stdio.ts'
import { handleUncaughtErrors } from './uncaught.ts'
import { startWatcher } from './watcher.ts'

/** After the arbiter's death: the port is free at once, what is in flight has this long. */
const ORPHAN_DRAIN_MS = 1_500
/** How long a promise of `worker_exit` is waited for. */
const EXIT_HOOK_MS = 1_000
/** How old the figures in the title may be. */
const TITLE_MS = 1_000
/** After ready, what has been compiled is written for the next worker. */
const FLUSH_CACHE_MS = 2_000

/** Between two looks whether a worker that restarts has anything in hand. */
const IDLE_LOOK_MS = 10
/** A connection that was accepted last may bring its request a little later. */
const IDLE_LOOKS = 4

const FOREVER = new Promise<void>(() => {})

export class Worker {
  readonly #system: System
  readonly #channel: Channel
  readonly #arbiterPid = process.ppid
  #engine: Engine | undefined
  #board: WorkerBoard | undefined
  #log: Logger | undefined
  #hooks: WorkerHooks | undefined
  #lifespan: Lifespan | undefined
  #further: ExtraServers | undefined
  #farewell: AppSigterm | undefined
  #development: DevelopmentMode | undefined
  /** The application did not load, and a page about that is served. */
  #isExcused = false
  #bootOver = () => {}
  #name = ''
  #title = ''
  #graceMs = 0
  #idleMs = PATIENT_DRAIN_MS
  #state: 'booting' | 'ready' | 'draining' | 'gone' = 'booting'

  constructor(system: System, channel: Channel) {
    this.#system = system
    this.#channel = channel
  }

  /** Waits for the boot message; signals count from now on. */
  start(): void {
    for (const signal of WORKER_SIGNALS) {
      this.#system.onSignal(signal, () => this.#handleSignal(signal))
    }
    this.#channel.onClose(() => this.#handleOrphaned())
    this.#channel.onMessage((message) => {
      // The engine is closed.
      if (this.#state === 'gone') return
      if (message.type === 'reopen') this.#reopenLogs()
      else if (message.type === 'restart') this.#restart()
      else if (message.type === 'hasten') this.#hasten()
      else if (message.type === 'secure') applyTls(this.#engine, this.#log, message)
      else void this.#boot(message)
    })
  }

  async #boot(first: BootMessage): Promise<void> {
    const collectors = await findCollectors(first.config, first.collectors)
    const message = { ...first, config: { ...first.config, ...collectors } }
    const { config } = message
    this.#name = config.proc_name ?? config.app ?? 'monoceros'
    this.#showFigures()
    this.#graceMs = config.graceful_timeout * 1_000
    installIpcShim()
    if (message.output !== undefined) makeStdioBlocking()
    try {
      await prepareLogger(config)
      if (this.#state !== 'booting') return
      const log = openErrorLog(message)
      this.#log = log
      this.#bootOver = handleUncaughtErrors(this.#system, log, {
        onBoot: (thrown) => this.#fail(thrown, message),
        onUncaught: () => this.#handleUncaught(config.on_uncaught),
      })
      // Until the engine is there nobody sees the arbiter's end while the event loop is blocked, as by a debugger.
      native?.endWithParent(this.#arbiterPid)
      await this.#loadHooks(message, log)
      await this.#hooks?.callBootHook('post_fork')
      // Before the application is loaded, and before the engine has threads.
      becomeUser(config)
      // Again: the system forgets it with the user.
      if (native?.endWithParent(this.#arbiterPid) === false) return this.#exit(0)
      await this.#startDevelopment(message)
      this.#further = new ExtraServers(this.#channel, { isCheck: message.check })
      const { target: loaded, exports } = await loadTarget(message, this.#further)
      this.#lifespan = findLifespan(exports, config.asgi_lifespan)
      if (this.#state !== 'booting') return
      if (message.check) return this.#channel.send({ type: 'ready', engine: config.engine })
      await this.#lifespan.startup()
      await this.#hooks?.callBootHook('post_worker_init')
      const target = this.#hooks?.wrapTarget(loaded) ?? loaded
      if (this.#state !== 'booting' || this.#isExcused) return
      await this.#serve(message, target, log)
    } catch (error) {
      this.#fail(error, message)
    }
  }

  async #serve(message: BootMessage, target: Target, log: Logger): Promise<void> {
    const { given, slot, slots, kickFds } = message
    const config = resolveAccessLog(message, log)
    // From the first request on an error is a request's and no failure to boot.
    this.#bootOver()
    this.#development?.reportLoadedFiles()
    let heartbeat: Heartbeat
    try {
      const listeners = await applyServerTls(target, message, {
        log,
        changed: (ticketSecrets) => applyTls(this.#engine, log, { type: 'secure', ticketSecrets }),
      })
      this.#engine = await createEngine({
        config,
        given: new Set(given),
        log,
        board:
          native === null
            ? undefined
            : { fd: BOARD_FD, slots, slot, kickFds, crowded: isCrowded(config.workers) },
        lifelineFd: CHANNEL_FD,
        ...currentTls(message),
      })
      native?.endWithParent()
      this.#board = this.#openBoard(message, this.#engine)
      heartbeat = startHeartbeat(this.#system, this.#board, config.timeout * 1_000)
      this.#system.every(TITLE_MS, () => this.#showFigures())
      await this.#engine.serve(target, listeners)
      applyTls(this.#engine, log)
    } catch (thrown) {
      if (thrown instanceof MonocerosError) throw thrown
      throw monocerosError('ERR_ENGINE_START', describeThrown(thrown)).withCause(thrown)
    }
    if (this.#state !== 'booting') return
    if (target.style === 'node') this.#follow(target.server, this.#engine)
    this.#state = 'ready'
    this.#board.setState('accepting')
    this.#channel.send({ type: 'ready', engine: this.#engine.name })
    // When the first requests have been answered.
    void this.#system.pause(FLUSH_CACHE_MS).then(flushCompileCache)
    this.#showFigures()
    // Behind `ready`: a thread takes milliseconds to start, and nobody needs to wait for this one.
    heartbeat.addObserver(startWatcher(log, config.timeout * 1_000))
  }

  /** What the program does with its server, the engine does with the addresses. */
  #follow(server: Server, engine: Engine): void {
    observeListening(server, {
      onClose: () => {
        if (this.#state !== 'ready') return
        if (this.#log !== undefined) logLine(this.#log, 'serverClosedByApp')
        engine.pause()
      },
      onListen: () => {
        // Another worker can.
        if (!engine.resume()) this.#channel.send({ type: 'spoiled' })
      },
    })
  }

  // Loaded only where there are any: an idle worker is small.
  async #loadHooks(message: BootMessage, log: Logger): Promise<void> {
    if (message.hooks.length === 0) return
    const { loadWorkerHooks } = await import('./hooks.ts')
    const hooks = await loadWorkerHooks(message, {
      log,
      countRequests: () => this.#engine?.counters().requests ?? 0,
      isServing: () => this.#state === 'ready',
      sendHeartbeat: () => this.#board?.beat(),
    })
    // A check finds out whether they load, and calls none.
    if (message.check) return
    this.#hooks = hooks
    if (hooks.has('worker_abort')) {
      this.#system.onSignal('ABRT', () => {
        hooks.callHook('worker_abort')
        this.#exit(1)
      })
    }
  }

  #handleUncaught(what: 'recycle' | 'continue' | 'exit'): void {
    if (what === 'recycle') this.#channel.send({ type: 'spoiled' })
    // On node it would be the end of what the application does at TERM, too.
    if (what !== 'continue') this.#farewell?.stopWaiting()
    // In the next turn: what is answered now is still sent.
    if (what === 'exit') this.#system.after(0, () => this.#exit(1))
  }

  /** In `ps`: the state, and how many requests are in hand. */
  #showFigures(): void {
    const { busy } = this.#engine?.counters() ?? { busy: 0 }
    const state = this.#state === 'ready' ? 'serving' : this.#state
    const title = processTitle('worker', this.#name, `${state}, ${busy} in flight`)
    if (title === this.#title) return
    this.#title = title
    setTitle(title)
  }

  #reopenLogs(): void {
    // One that cannot be opened, and stays as it is, is no reason for the other to stay.
    for (const reopen of [() => this.#log?.reopen(), () => this.#engine?.reopenLog()]) {
      try {
        reopen()
      } catch (error) {
        this.#log?.error(error instanceof Error ? error.message : String(error))
      }
    }
  }

  #openBoard({ slot, slots }: BootMessage, engine: Engine): WorkerBoard {
    const channel = new ChannelBoard(
      (message) => this.#channel.send(message),
      () => engine.counters(),
    )
    if (native === null) return channel
    const shared = new SharedWorkerBoard(native, { fd: BOARD_FD, slots, slot })
    if (engine.name === 'native') return shared
    return {
      setState: (state) => shared.setState(state),
      beat() {
        shared.beat()
        channel.beat()
      },
    }
  }

  /** Booting has failed: says why to the arbiter, who logs it once for all workers, and ends. */
  #fail(thrown: unknown, boot: BootMessage): void {
    if (this.#state !== 'booting') return
    const { app } = boot.config
    const error =
      thrown instanceof MonocerosError
        ? thrown
        : monocerosError('ERR_APP_BROKEN', app ?? '', describeThrown(thrown)).withCause(thrown)
    const log = this.#log
    const page = this.#isExcused ? undefined : this.#development?.createFailureTarget(error)
    if (page !== undefined && log !== undefined) {
      this.#isExcused = true
      page.then((target) => this.#serve(boot, target, log)).catch((e) => this.#fail(e, boot))
      return
    }
    this.#state = 'gone'
    const { code, message, exit } = error
    this.#channel.sendLast({ type: 'failed', code, text: message, exit }, () =>
      this.#system.exit(exit),
    )
  }

  // Loaded only where it is asked for.
  async #startDevelopment({ config, check, slot }: BootMessage): Promise<void> {
    if (check || !(config.reload || config.inspect_brk !== null)) return
    const { waitForDebugger: breakForDebugger, startDevelopmentMode: startDevelopment } =
      await import('./development.ts')
    if (config.reload) {
      const send = (message: WorkerMessage) => this.#channel.send(message)
      this.#development = startDevelopment(this.#system, send)
    }
    if (config.inspect_brk !== null) breakForDebugger(config.inspect_brk, slot)
  }

  #handleSignal(signal: SignalName): void {
    // Whoever ends already, and perhaps waits for a hook, does so in a second: a second INT calls no hook again.
    if (this.#state === 'gone') return
    const role = SIGNALS[signal].worker
    if (role === 'drain') this.#leave(signal)
    if (role === 'quit') {
      this.#sayLeaving(signal)
      this.#hooks?.callHook('worker_int')
      this.#exit(0)
    }
    if (role === 'reopen') this.#reopenLogs()
  }

  #leave(signal: SignalName): void {
    this.#sayLeaving(signal)
    if (this.#state === 'booting') return this.#exit(0)
    if (this.#state !== 'ready') return
    this.#farewell = watchAppSigterm(this.#system, { log: this.#log, limitMs: this.#graceMs })
    void this.#drain(this.#graceMs)
  }

  // The arbiter knows when the signal was its own. Else it starts a successor now and not after the drain, and an end
  // while booting is nobody's failure.
  #sayLeaving(signal: SignalName): void {
    if (this.#state === 'booting' || this.#state === 'ready') {
      this.#channel.send({ type: 'leaving', signal })
    }
  }

  /** The code has changed: what is in hand is finished if it takes no longer than a moment. */
  #restart(): void {
    if (this.#state === 'booting') return this.#exit(0)
    if (this.#state !== 'ready') return
    this.#hooks?.callHook('worker_int')
    let idleLooks = 0
    const idle = new Promise<void>((done) => {
      this.#system.every(IDLE_LOOK_MS, () => {
        idleLooks = this.#engine?.counters().busy === 0 ? idleLooks + 1 : 0
        if (idleLooks === IDLE_LOOKS) done()
      })
    })
    void this.#drain(RESTART_MS, idle)
  }

  /** No other worker follows; the message may come before the signal or after it. */
  #hasten(): void {
    this.#idleMs = IDLE_DRAIN_MS
    if (this.#state === 'draining') this.#engine?.hasten(IDLE_DRAIN_MS)
  }

  async #drain(graceMs: number, enough = FOREVER): Promise<void> {
    this.#state = 'draining'
    this.#board?.setState('draining')
    this.#showFigures()
    // An engine that fails to drain must not keep the process.
    const drained = this.#engine?.drain(graceMs, this.#idleMs).catch(() => {})
    const closed = this.#further?.drain(graceMs)
    void this.#system.pause(graceMs).then(() => this.#exit(0))
    await Promise.race([Promise.all([drained, closed]), enough])
    await backgroundEnded()
    if (this.#log !== undefined) await this.#lifespan?.shutdown(this.#log)
    if (this.#farewell !== undefined) {
      // What is left is the application's own.
      this.#engine?.close()
      this.#channel.unref()
      await this.#farewell.waitUntilDone()
    }
    this.#exit(0)
  }

  #handleOrphaned(): void {
    if (this.#state === 'gone') return
    if (this.#engine === undefined) return this.#exit(0)
    this.#system.after(ORPHAN_DRAIN_MS, () => this.#exit(0))
    if (this.#state !== 'draining') void this.#drain(ORPHAN_DRAIN_MS)
  }

  #exit(status: number): void {
    const hooked = this.#state !== 'gone'
    this.#state = 'gone'
    this.#board?.setState('gone')
    this.#engine?.close()
    const pending = hooked ? this.#hooks?.callHook('worker_exit') : undefined
    if (!(pending instanceof Promise)) return this.#system.exit(status)
    const late = new Promise<void>((done) => void this.#system.after(EXIT_HOOK_MS, done))
    void Promise.race([pending, late]).then(() => this.#system.exit(status))
  }
}

/** Whether the workers have more busy threads, two each, than there are processors for them. */
function isCrowded(workers: number): boolean {
  return workers > 1 && workers * 2 > availableParallelism()
}
