/**
 * The setting `reload`: restarts the workers when a file changes that they have loaded, and reads
 * the settings again when the config file changes. The old workers exit first, and connections wait
 * in the kernel meanwhile. A request that is sent after a change therefore never reaches the old
 * code.
 */

import { isDeepStrictEqual } from 'node:util'

import { logLine, logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { WorkerMessage } from '../messages.ts'
import type { EventQueue } from './events.ts'
import type { Generation } from './generation.ts'
import type { OpenSourceWatch, SourceWatch } from './source-watch.ts'

type LoadedMessage = Extract<WorkerMessage, { type: 'loaded' }>

/** What the setting `reload` needs from the arbiter. */
export interface DevReloadDependencies {
  readonly log: Logger
  readonly queue: EventQueue
  readonly openSourceWatch: OpenSourceWatch
  /** Working directory of the command, to which `reload_extra_files` are relative. */
  readonly cwd: string
}

/** Watches the files of the application and of the settings (setting `reload`). */
export class DevReload {
  readonly #dependencies: DevReloadDependencies
  #watch: Promise<SourceWatch> | undefined
  #watchedSettings: unknown[] = []
  #configFile: string | undefined
  readonly #loggedFailures = new Set<string>()

  constructor(dependencies: DevReloadDependencies) {
    this.#dependencies = dependencies
  }

  /** Starts, replaces or stops the file watcher, as the settings of this generation require. */
  applySettings({ config, configFile }: Generation): void {
    const { log, queue, openSourceWatch, cwd } = this.#dependencies
    const { reload, reload_engine, reload_extra_files, chdir } = config
    const wanted = reload ? [reload_engine, reload_extra_files, chdir, configFile] : []
    if (isDeepStrictEqual(wanted, this.#watchedSettings)) return
    this.close()
    this.#watchedSettings = wanted
    this.#configFile = configFile
    if (!reload) return
    const onChange = (files: readonly string[]) => queue.push({ type: 'filesChanged', files })
    this.#watch = openSourceWatch(config, { log, cwd, configFile, onChange })
    this.#watch.catch((thrown: unknown) => logThrown(log, { name: 'watcherFailed', thrown }))
  }

  /**
   * Adds the files that a worker has loaded. A failure to load is logged once, not once for each
   * worker.
   */
  handleLoaded({ files, isComplete, failure }: LoadedMessage): void {
    this.#withWatch((watch) => watch.addLoadedFiles(files, isComplete))
    if (failure === undefined || this.#loggedFailures.has(failure)) return
    this.#loggedFailures.add(failure)
    this.#dependencies.log.error(failure)
  }

  /** Logs the changed files. Returns true if the config file is among them. */
  handleChanged(files: readonly string[]): boolean {
    this.#loggedFailures.clear()
    for (const file of files) logLine(this.#dependencies.log, 'fileChanged', file)
    return this.#configFile !== undefined && files.includes(this.#configFile)
  }

  close(): void {
    this.#withWatch((watch) => watch.close())
    this.#watch = undefined
  }

  #withWatch(use: (watch: SourceWatch) => void): void {
    // `applySettings` logs why a watch could not be opened.
    this.#watch?.then(use, () => {})
  }
}
