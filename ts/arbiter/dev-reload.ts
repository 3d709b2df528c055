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

type Loaded = Extract<WorkerMessage, { type: 'loaded' }>

export interface ReloaderParts {
  readonly log: Logger
  readonly queue: EventQueue
  readonly openWatch: OpenSourceWatch
  /** The directory of the start. */
  readonly cwd: string
}

export class Reloader {
  readonly #parts: ReloaderParts
  #watch: Promise<SourceWatch> | undefined
  #watched: unknown[] = []
  #configFile: string | undefined
  readonly #said = new Set<string>()

  constructor(parts: ReloaderParts) {
    this.#parts = parts
  }

  /** Watches what these settings say, if they say so. */
  follow({ config, configFile }: Generation): void {
    const { log, queue, openWatch, cwd } = this.#parts
    const { reload, reload_engine, reload_extra_files, chdir } = config
    const wanted = reload ? [reload_engine, reload_extra_files, chdir, configFile] : []
    if (isDeepStrictEqual(wanted, this.#watched)) return
    this.close()
    this.#watched = wanted
    this.#configFile = configFile
    if (!reload) return
    const onChange = (files: readonly string[]) => queue.push({ type: 'changed', files })
    this.#watch = openWatch(config, { log, cwd, configFile, onChange })
    this.#watch.catch((thrown: unknown) => logThrown(log, { name: 'watcherFailed', thrown }))
  }

  /** A worker has loaded files, or failed to; what is the matter is said once for all workers. */
  noteLoaded({ files, isWhole, failure }: Loaded): void {
    this.#watch?.then(
      (watch) => watch.add(files, isWhole),
      () => {},
    )
    if (failure === undefined || this.#said.has(failure)) return
    this.#said.add(failure)
    this.#parts.log.error(failure)
  }

  /** Says what has changed; the result is whether it is the settings. */
  noteChanged(files: readonly string[]): boolean {
    this.#said.clear()
    for (const file of files) logLine(this.#parts.log, 'fileChanged', file)
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
