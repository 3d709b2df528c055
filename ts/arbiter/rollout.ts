/**
 * The current generation and the progress of a reload. A new generation is opened beside the
 * current one, tried with one worker, and then becomes current. Until that trial succeeds, the
 * current generation stays as it is.
 */

import { MonocerosError, monocerosError } from '../errors.ts'
import { logLine, logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import type { ResolvedConfig } from '../settings/config.ts'
import type { EventQueue } from './events.ts'
import { closeListenersExcept, type Generation, type OpenGeneration } from './generation.ts'
import type { ReloadOutcome } from './monitoring/lifecycle-counters.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** Where the reloads of this arbiter are: a command waits for the end of its own. */
export interface ReloadProgress {
  startedCount: number
  finishedCount: number
  lastOutcome: ReloadOutcome | undefined
  /** Why the latest reload that failed did so. */
  lastError: string
}

type RolloutStage =
  | { readonly name: 'opening' }
  /** One worker tries the new settings and the application. */
  | { readonly name: 'trial'; readonly generation: Generation }
  /** The trial has succeeded; the old workers are replaced one at a time. */
  | { readonly name: 'rolling'; readonly previous: Generation }

/** What a rollout needs from the arbiter. */
export interface RolloutDependencies {
  readonly system: System
  readonly log: Logger
  readonly queue: EventQueue
  readonly openGeneration: OpenGeneration
  /** Reads the settings again. */
  readonly loadSettings: () => Promise<ResolvedConfig>
  /**
   * Prepares a generation whose addresses are open, before its first worker starts. A rejection
   * fails the reload.
   */
  readonly prepareGeneration: (generation: Generation) => Promise<void>
  /**
   * Returns whether closing a unix socket also removes its file: false while another arbiter uses
   * the socket.
   */
  readonly ownsSocketFiles: () => boolean
  /** Called when a generation becomes current; new workers are started with it. */
  readonly onCurrentChanged: (generation: Generation, previous: Generation | undefined) => void
  readonly onReloadEnded: (outcome: ReloadOutcome) => void
}

/** Holds the current generation and performs reloads, one at a time. */
export class Rollout {
  readonly #dependencies: RolloutDependencies
  #current: Generation | undefined
  #stage: RolloutStage | undefined
  #isClosed = false
  readonly #reloads: ReloadProgress = {
    startedCount: 0,
    finishedCount: 0,
    lastOutcome: undefined,
    lastError: '',
  }

  constructor(dependencies: RolloutDependencies) {
    this.#dependencies = dependencies
  }

  /** Generation that workers are started with; undefined until the first one is open. */
  get currentGeneration(): Generation | undefined {
    return this.#current
  }

  /** Generation that a reload tries with one worker. */
  get trialGeneration(): Generation | undefined {
    return this.#stage?.name === 'trial' ? this.#stage.generation : undefined
  }

  get reloads(): Readonly<ReloadProgress> {
    return this.#reloads
  }

  get isReloading(): boolean {
    return this.#stage !== undefined
  }

  /** Opens the first generation, after `begin` has run the hooks of the start. */
  start(resolved: ResolvedConfig, begin: () => Promise<void>): void {
    this.#openGeneration(async () => {
      await begin()
      return resolved
    })
  }

  reload(): void {
    this.#reloads.startedCount += 1
    this.#stage = { name: 'opening' }
    this.#openGeneration(this.#dependencies.loadSettings)
  }

  handleOpened(generation: Generation, warnings: readonly string[]): void {
    for (const warning of warnings) this.#dependencies.log.warning(warning)
    if (this.#current !== undefined) {
      this.#stage = { name: 'trial', generation }
      return
    }
    this.#current = generation
    this.#dependencies.onCurrentChanged(generation, undefined)
  }

  /** Ends a reload whose settings could not be read or whose addresses could not be opened. */
  abandon(error: unknown): void {
    if (error !== undefined) this.logError(error)
    this.#abandon(error instanceof Error ? error.message : String(error))
  }

  handleReady(worker: WorkerHandle): void {
    if (this.trialGeneration !== worker.generation) return
    const previous = this.#current ?? worker.generation
    this.#stage = { name: 'rolling', previous }
    this.#current = worker.generation
    this.#dependencies.onCurrentChanged(worker.generation, previous)
  }

  /**
   * Handles a failed boot. Returns true if it ends the reload; false if the worker was an ordinary
   * replacement.
   */
  handleBootFailure(worker: WorkerHandle): boolean {
    if (this.trialGeneration !== worker.generation) return false
    this.#closeListeners(worker.generation, this.#current)
    this.#abandon(worker.bootFailure?.message ?? 'the worker did not start')
    return true
  }

  /** Ends a reload: the last old worker has been replaced, or the next reload is about to start. */
  finish(): void {
    if (this.#stage?.name !== 'rolling') return
    this.#closeListeners(this.#stage.previous, this.#current)
    this.#stage = undefined
    this.#end('succeeded')
  }

  get isRolling(): boolean {
    return this.#stage?.name === 'rolling'
  }

  /** Closes all addresses and drops a reload in progress, when the arbiter stops. */
  closeAll(): void {
    this.#isClosed = true
    if (this.#stage?.name === 'trial') this.#closeListeners(this.#stage.generation, this.#current)
    if (this.#stage?.name === 'rolling') this.#closeListeners(this.#stage.previous, this.#current)
    if (this.#current !== undefined) this.#closeListeners(this.#current, undefined)
    this.#stage = undefined
  }

  /** Closes a generation that was opened after the arbiter began to stop. */
  discard(generation: Generation): void {
    this.#closeListeners(generation, this.#current)
  }

  logError(error: unknown): void {
    if (error instanceof MonocerosError) this.#dependencies.log.error(error.message)
    else logThrown(this.#dependencies.log, { name: 'unexpectedError', thrown: error })
  }

  /** Reads settings and opens their addresses beside the loop. The result is pushed as an event. */
  #openGeneration(load: () => Promise<ResolvedConfig>): void {
    const { queue } = this.#dependencies
    const open = async () => {
      const earlier = this.#current
      const resolved = await this.#withTimeout(load)
      if (this.#isClosed) return
      const generation = await this.#dependencies.openGeneration(resolved, earlier)
      try {
        await this.#withTimeout(() => this.#dependencies.prepareGeneration(generation))
      } catch (error) {
        this.#closeListeners(generation, earlier)
        throw error
      }
      if (this.#isClosed) return this.#closeListeners(generation, earlier)
      queue.push({ type: 'generationOpened', generation, warnings: resolved.warnings })
    }
    open().catch((error: unknown) => queue.push({ type: 'generationFailed', error }))
  }

  // The operator's code may never settle, and no other reload is possible meanwhile. The first
  // start has no limit: the operator sees that it hangs and can stop it.
  async #withTimeout<T>(step: () => Promise<T>): Promise<T> {
    const seconds = this.#current?.config.boot_timeout
    if (seconds === undefined) return step()
    let cancel = () => {}
    const late = new Promise<never>((_, fail) => {
      const error = monocerosError('ERR_RELOAD_TIMEOUT', seconds)
      cancel = this.#dependencies.system.after(seconds * 1_000, () => fail(error))
    })
    return Promise.race([step(), late]).finally(() => cancel())
  }

  #abandon(why: string): void {
    logLine(this.#dependencies.log, 'reloadFailed')
    this.#stage = undefined
    this.#reloads.lastError = why
    this.#end('failed')
  }

  #end(outcome: ReloadOutcome): void {
    this.#reloads.finishedCount += 1
    this.#reloads.lastOutcome = outcome
    this.#dependencies.onReloadEnded(outcome)
  }

  #closeListeners(generation: Generation, kept: Generation | undefined): void {
    closeListenersExcept(generation, kept, { unlink: this.#dependencies.ownsSocketFiles() })
  }
}
