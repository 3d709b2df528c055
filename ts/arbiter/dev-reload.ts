/**
 * `reload`: workers are restarted when a file changes that they have loaded, and the settings are read again when the
 * config file does. The old workers end first, and connections wait in the kernel meanwhile: no request that is sent
 * behind a change meets the code before it.
 */

import { isDeepStrictEqual } from 'node:util'

import { logLine, logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { WorkerMessage } from '../messages.ts'
import type { EventQueue } from './events.ts'
import type { Generation } from './generation.ts'
import type { OpenSourceWatch, SourceWatch } from './source-watch.ts'

type LoadedMessage = Extract<WorkerMessage, { type: 'loaded' }>

export interface DevReloadDependencies {
  readonly log: Logger
  readonly queue: EventQueue
  readonly openSourceWatch: OpenSourceWatch
  /** The directory of the start. */
  readonly cwd: string
}

export class DevReload {
  readonly #dependencies: DevReloadDependencies
  #watch: Promise<SourceWatch> | undefined
  #watchedSettings: unknown[] = []
  #configFile: string | undefined
  readonly #loggedFailures = new Set<string>()

  constructor(dependencies: DevReloadDependencies) {
    this.#dependencies = dependencies
  }

  /** Watches what these settings say, if they say so. */
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

  /** A worker has loaded files, or failed to; what is the matter is said once for all workers. */
  handleLoaded({ files, isComplete, failure }: LoadedMessage): void {
    this.#watch?.then(
      (watch) => watch.addLoadedFiles(files, isComplete),
      () => {},
    )
    if (failure === undefined || this.#loggedFailures.has(failure)) return
    this.#loggedFailures.add(failure)
    this.#dependencies.log.error(failure)
  }

  /** Says what has changed; the result is whether it is the settings. */
  handleChanged(files: readonly string[]): boolean {
    this.#loggedFailures.clear()
    for (const file of files) logLine(this.#dependencies.log, 'fileChanged', file)
    return this.#configFile !== undefined && files.includes(this.#configFile)
  }

  close(): void {
    this.#watch?.then(
      (watch) => watch.close(),
      () => {},
    )
    this.#watch = undefined
  }
}
