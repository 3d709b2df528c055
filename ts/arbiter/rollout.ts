/**
 * The generations: the current one, and how far a reload has come. A new one is first opened beside the current one,
 * then tried with one worker, and only then replaces it; until it has proved good, nothing of the old is touched.
 */

import { MonocerosError, monocerosError } from '../errors.ts'
import { logLine, logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import type { ResolvedConfig } from '../settings/config.ts'
import type { EventQueue } from './events.ts'
import { closeListenersExcept, type Generation, type OpenGeneration } from './generation.ts'
import type { WorkerHandle } from './worker-handle.ts'

type RolloutStage =
  | { readonly name: 'opening' }
  /** One worker tries the new settings and application. */
  | { readonly name: 'trial'; readonly generation: Generation }
  /** They are good; the old workers are replaced one by one. */
  | { readonly name: 'rolling'; readonly previous: Generation }

export interface RolloutDependencies {
  readonly system: System
  readonly log: Logger
  readonly queue: EventQueue
  readonly openGeneration: OpenGeneration
  /** Reads the settings again. */
  readonly loadSettings: () => Promise<ResolvedConfig>
  /** What must go well before a worker is started with settings whose addresses are open. */
  readonly prepareGeneration: (generation: Generation) => Promise<void>
  /** Whether the file of a unix socket that is closed goes too: not while another arbiter has the socket. */
  readonly ownsSocketFiles: () => boolean
  /** The generation is what everything is started with from now on. */
  readonly onCurrentChanged: (generation: Generation, previous: Generation | undefined) => void
}

export class Rollout {
  readonly #dependencies: RolloutDependencies
  #current: Generation | undefined
  #stage: RolloutStage | undefined
  #isClosed = false

  constructor(dependencies: RolloutDependencies) {
    this.#dependencies = dependencies
  }

  /** What workers are started with; undefined until the first generation is open. */
  get current(): Generation | undefined {
    return this.#current
  }

  /** What a reload tries with one worker. */
  get trial(): Generation | undefined {
    return this.#stage?.name === 'trial' ? this.#stage.generation : undefined
  }

  get isReloading(): boolean {
    return this.#stage !== undefined
  }

  /** Opens the first generation, after the hooks of the start. */
  start(resolved: ResolvedConfig, begin: () => Promise<void>): void {
    this.#openGeneration(async () => {
      await begin()
      return resolved
    })
  }

  reload(): void {
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

  /** The settings could not be read, or an address not be opened. */
  abandon(error: unknown): void {
    if (error !== undefined) this.logError(error)
    this.#abandon()
  }

  handleReady(worker: WorkerHandle): void {
    if (this.trial !== worker.generation) return
    const previous = this.#current ?? worker.generation
    this.#stage = { name: 'rolling', previous }
    this.#current = worker.generation
    this.#dependencies.onCurrentChanged(worker.generation, previous)
  }

  /** Whether the failure ends a reload; else it is that of a replacement. */
  handleBootFailure(worker: WorkerHandle): boolean {
    if (this.trial !== worker.generation) return false
    this.#closeListeners(worker.generation, this.#current)
    this.#abandon()
    return true
  }

  /** The last old worker has been replaced, or is given up for a reload that follows. */
  finish(): void {
    if (this.#stage?.name !== 'rolling') return
    this.#closeListeners(this.#stage.previous, this.#current)
    this.#stage = undefined
  }

  get isRolling(): boolean {
    return this.#stage?.name === 'rolling'
  }

  /** At a stop: every address is closed, and what a reload was about to do is forgotten. */
  closeAll(): void {
    this.#isClosed = true
    if (this.#stage?.name === 'trial') this.#closeListeners(this.#stage.generation, this.#current)
    if (this.#stage?.name === 'rolling') this.#closeListeners(this.#stage.previous, this.#current)
    if (this.#current !== undefined) this.#closeListeners(this.#current, undefined)
    this.#stage = undefined
  }

  /** A generation that came too late. */
  discard(generation: Generation): void {
    this.#closeListeners(generation, this.#current)
  }

  logError(error: unknown): void {
    if (error instanceof MonocerosError) this.#dependencies.log.error(error.message)
    else logThrown(this.#dependencies.log, { name: 'unexpectedError', thrown: error })
  }

  /** Reads settings and opens their addresses beside the loop; the result comes as an event. */
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

  // Code of the operator may wait for something that never comes, and no other reload is taken meanwhile. Whoever waits
  // for a start sees that it does not go on, and can end it.
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

  #abandon(): void {
    logLine(this.#dependencies.log, 'reloadFailed')
    this.#stage = undefined
  }

  #closeListeners(generation: Generation, kept: Generation | undefined): void {
    closeListenersExcept(generation, kept, { unlink: this.#dependencies.ownsSocketFiles() })
  }
}
