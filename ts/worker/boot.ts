/** The boot of a worker: from the boot message to an engine that serves the application. */

import { availableParallelism } from 'node:os'
import { dirname, resolve } from 'node:path'
import { createEngine } from '../engine/auto.ts'
import { setDisconnectGrace } from '../engine/background-work.ts'
import type { Engine, Target } from '../engine/engine.ts'
import { MonocerosError, monocerosError } from '../errors.ts'
import { resolveCollectors } from '../log/collectors.ts'
import { loadCustomLogger } from '../log/custom.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import { type BootMessage, CHANNEL_FD, SCOREBOARD_FD } from '../messages.ts'
import { native } from '../native/index.ts'
import type { System } from '../process/system.ts'
import { assertReadable, switchUser } from '../process/user.ts'
import { parseApplicationPath } from './app.ts'
import type { Channel } from './channel.ts'
import { type ClusterUse, installCluster } from './cluster.ts'
import type { DevelopmentMode } from './development.ts'
import { ExtraServers } from './extra-listeners.ts'
import { type Heartbeat, startHeartbeat } from './heartbeat.ts'
import { applyServerTls, applyTls, currentTls } from './https-servers.ts'
import { installIpcShim } from './ipc-shim.ts'
import { findLifespan } from './lifespan.ts'
import { loadTarget } from './load-target.ts'
import { openErrorLog, resolveAccessLog } from './logs.ts'
import type { Notice } from './notices.ts'
import { loadOneWorkerFunction, provideOneWorker } from './one-worker.ts'
import type { WorkerParts } from './parts.ts'
import { makeStdioBlocking } from './sync-stdio.ts'
import { handleUncaughtErrors } from './uncaught.ts'
import { openWorkerBoard } from './worker-board.ts'

/** What the worker gives to its boot. */
export interface BootContext {
  readonly channel: Channel
  /** The boot puts in what it creates. */
  readonly parts: WorkerParts
  readonly arbiterPid: number
  /** False as soon as the worker exits or drains: the boot stops at its next step then. */
  readonly isBooting: () => boolean
  readonly isServing: () => boolean
  readonly push: (notice: Notice) => void
}

/** Boots the worker once: logs, hooks, user, application, engine. */
export class Boot {
  readonly #system: System
  readonly #context: BootContext
  readonly #parts: WorkerParts
  readonly #message: BootMessage
  #development: DevelopmentMode | undefined
  /**
   * The application did not load, and a page about that is served in its place (setting `reload`).
   */
  #servesFailurePage = false
  #stopReportingBootErrors = () => {}

  constructor(system: System, context: BootContext, message: BootMessage) {
    this.#system = system
    this.#context = context
    this.#parts = context.parts
    this.#message = message
  }

  /** Pushes `engineCreated` and `ready` on the way, or `failed`. */
  async run(): Promise<void> {
    const { config } = this.#message
    const message = {
      ...this.#message,
      config: { ...config, ...(await resolveCollectors(config, this.#message.collectorAddresses)) },
    }
    installIpcShim(() => this.#parts.log)
    const clusterUse = installCluster({
      id: message.slot,
      log: () => this.#parts.log,
      stop: () => this.#stopByApp(),
    })
    if (message.capturedOutputFds !== undefined) makeStdioBlocking()
    try {
      await this.#load(message, clusterUse)
    } catch (error) {
      this.#fail(error, message)
    }
  }

  async #load(message: BootMessage, clusterUse: ClusterUse): Promise<void> {
    const { config } = message
    const { arbiterPid, channel, isBooting, push } = this.#context
    await loadCustomLogger(config)
    if (!isBooting()) return
    const log = openErrorLog(message)
    this.#parts.log = log
    this.#stopReportingBootErrors = handleUncaughtErrors(this.#system, log, {
      onBoot: (thrown) => this.#fail(thrown, message),
      onUncaught: () => push({ type: 'uncaught' }),
      limitMs: config.graceful_timeout * 1_000,
    })
    // Until the engine exists, nothing else notices the arbiter's death while the event loop is
    // blocked (by a debugger, for example).
    native?.setParentDeathSignal(arbiterPid)
    await this.#loadHooks(message, log)
    await this.#parts.hooks?.callBootHook('post_fork')
    // Before the application is loaded, and before the engine has threads.
    switchUser(config)
    const { path } = parseApplicationPath(config.app ?? '.')
    assertReadable(config, [import.meta.dirname, dirname(resolve(config.chdir, path))])
    // Again: the kernel clears the setting when the user changes (PR_SET_PDEATHSIG in prctl(2)).
    if (native?.setParentDeathSignal(arbiterPid) === false) return push({ type: 'orphaned' })
    await this.#startDevelopmentMode(message)
    const extraServers = new ExtraServers(channel, { isCheck: message.isCheck })
    this.#parts.extraServers = extraServers
    const oneWorker = provideOneWorker(channel)
    this.#parts.oneWorker = oneWorker
    const { target: loaded, exports } = await loadTarget(message, { extraServers, clusterUse })
    const work = await loadOneWorkerFunction(config)
    if (work !== undefined) oneWorker.add(work)
    const lifespan = findLifespan(exports, config.asgi_lifespan)
    this.#parts.lifespan = lifespan
    if (loaded.style !== 'exchange') this.#parts.framework = loaded
    if (!isBooting()) return
    if (message.isCheck) return channel.send({ type: 'ready', engine: config.engine })
    await lifespan.startup()
    await this.#parts.hooks?.callBootHook('post_worker_init')
    const target = this.#parts.hooks?.wrapTarget(loaded) ?? loaded
    if (!isBooting() || this.#servesFailurePage) return
    await this.#serve(target, message, log)
  }

  /** The application has called `cluster.worker.disconnect()` or `kill()`. */
  #stopByApp(): void {
    const { isBooting, isServing } = this.#context
    if (isBooting() || isServing()) this.#system.kill(process.pid, 'TERM')
  }

  async #serve(target: Target, message: BootMessage, log: Logger): Promise<void> {
    const config = resolveAccessLog(message, log)
    // From the first request on, an error belongs to a request and does not fail the boot.
    this.#stopReportingBootErrors()
    this.#development?.reportLoadedFiles()
    const heartbeat = await this.#startEngine(target, { ...message, config }, log)
    try {
      if (!this.#servesFailurePage) await this.#parts.framework?.start?.()
    } catch (thrown) {
      throw monocerosError('ERR_APP_STARTUP', describeThrown(thrown)).withCause(thrown)
    }
    this.#context.push({ type: 'ready', target, heartbeat })
  }

  /**
   * Creates the engine and lets it serve; any error that has no code yet becomes ERR_ENGINE_START.
   */
  async #startEngine(target: Target, message: BootMessage, log: Logger): Promise<Heartbeat> {
    try {
      const listeners = await applyServerTls(target, message, {
        log,
        changed: (ticketSecrets) =>
          applyTls(this.#parts.engine, log, { type: 'updateTls', ticketSecrets }),
      })
      const engine = await this.#createEngine(message, log)
      const board = openWorkerBoard(this.#context.channel, { message, engine })
      this.#parts.board = board
      const heartbeat = startHeartbeat(this.#system, board, message.config.timeout * 1_000)
      setDisconnectGrace(message.config.asgi_disconnect_grace_period * 1_000)
      this.#context.push({ type: 'engineCreated' })
      await engine.serve(target, listeners)
      applyTls(engine, log)
      return heartbeat
    } catch (thrown) {
      if (thrown instanceof MonocerosError) throw thrown
      throw monocerosError('ERR_ENGINE_START', describeThrown(thrown)).withCause(thrown)
    }
  }

  async #createEngine(message: BootMessage, log: Logger): Promise<Engine> {
    const { config, givenSettings, slot, slotCount, kickFds, transfers } = message
    const isOversubscribed = isOversubscribedBy(config.workers)
    const engine = await createEngine({
      config,
      given: new Set(givenSettings),
      log,
      board:
        native === null
          ? undefined
          : { fd: SCOREBOARD_FD, slots: slotCount, slot, kickFds, transfers, isOversubscribed },
      lifelineFd: CHANNEL_FD,
      ...currentTls(message),
    })
    this.#parts.engine = engine
    // The engine's own threads notice the arbiter's death from here on.
    native?.setParentDeathSignal()
    return engine
  }

  // Loaded only if a hook is set: keeps an idle worker small.
  async #loadHooks(message: BootMessage, log: Logger): Promise<void> {
    if (message.hookNames.length === 0) return
    const { isServing, push } = this.#context
    const { loadWorkerHooks } = await import('./hooks.ts')
    const hooks = await loadWorkerHooks(message, {
      log,
      countRequests: () => this.#parts.engine?.counters().requests ?? 0,
      isServing,
      sendHeartbeat: () => this.#parts.board?.beat(),
    })
    // `--check-config` finds out whether the hooks load, and calls none.
    if (message.isCheck) return
    this.#parts.hooks = hooks
    if (hooks.has('worker_abort')) {
      this.#system.onSignal('ABRT', () => push({ type: 'abort', status: 1 }))
    }
  }

  // Loaded only if a setting asks for it: keeps an idle worker small.
  async #startDevelopmentMode({ config, isCheck, slot }: BootMessage): Promise<void> {
    if (isCheck || !(config.reload || config.inspect_brk !== null)) return
    const { startDevelopmentMode, waitForDebugger } = await import('./development.ts')
    if (config.reload) {
      const { channel } = this.#context
      this.#development = startDevelopmentMode(this.#system, (message) => channel.send(message))
    }
    if (config.inspect_brk !== null) waitForDebugger(config.inspect_brk, slot)
  }

  /** Serves a page about the failure in development; else fails the boot. */
  #fail(thrown: unknown, message: BootMessage): void {
    if (!this.#context.isBooting()) return
    const error =
      thrown instanceof MonocerosError
        ? thrown
        : monocerosError(
            'ERR_APP_BROKEN',
            message.config.app ?? '',
            describeThrown(thrown),
          ).withCause(thrown)
    const { log } = this.#parts
    const page = this.#servesFailurePage ? undefined : this.#development?.createFailureTarget(error)
    if (page === undefined || log === undefined) {
      return this.#context.push({ type: 'failed', error })
    }
    this.#servesFailurePage = true
    this.#serve(page, message, log).catch((failure) => this.#fail(failure, message))
  }
}

/** Whether the workers have more busy threads than there are processors: a worker has two. */
function isOversubscribedBy(workers: number): boolean {
  return workers > 1 && workers * 2 > availableParallelism()
}
