/**
 * Watches the files of an application for the setting `reload`. It watches directories: an editor
 * that saves by renaming puts a different file under the old name.
 */

import { statSync } from 'node:fs'
import { dirname, extname, relative, resolve, sep } from 'node:path'

import type { ChokidarOptions, FSWatcher } from 'chokidar'

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { system } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { globBase, globToRegExp, isGlob } from '../settings/glob.ts'

/**
 * Chokidar reports no further change of a file for this long after one. A worker that reads the
 * file earlier would miss the next change.
 */
const CHOKIDAR_THROTTLE_MS = 50
/**
 * Changes are reported when none has followed for this long: an editor saves in several steps, and
 * `git checkout` changes many files.
 */
const SETTLE_MS = CHOKIDAR_THROTTLE_MS + 10
/** Where files change all the time, changes are reported this often. */
const MAX_BATCH_MS = 500
const POLL_MS = 500

/** An open file watcher. */
export interface SourceWatch {
  /**
   * Adds files that a worker has loaded. If the list is not complete, a change of any source file
   * below `chdir` counts too.
   */
  addLoadedFiles(files: readonly string[], isComplete: boolean): void
  close(): void
}

/** Options of a file watcher; `onChange` receives the changed files. */
export interface WatchOptions {
  readonly log: Logger
  /** Working directory of the command, to which extra files are relative. */
  readonly cwd: string
  readonly configFile: string | undefined
  readonly onChange: (files: readonly string[]) => void
}

type WatchSettings = Pick<Config, 'reload_engine' | 'reload_extra_files' | 'chdir'>

/** Opens a file watcher for the settings. */
export type OpenSourceWatch = (config: WatchSettings, options: WatchOptions) => Promise<SourceWatch>

/** Loads chokidar, which is needed only with `reload`, and starts watching. */
export const openSourceWatch: OpenSourceWatch = async (config, options) => {
  const { watch } = await import('chokidar')
  const opened = new ChokidarSourceWatch(config, options, watch)
  opened.addExtraFiles()
  return opened
}

/** Returns whether a change of this path is reported. */
type PathFilter = (path: string) => boolean

class ChokidarSourceWatch implements SourceWatch {
  readonly #config: WatchSettings
  readonly #options: WatchOptions
  readonly #createWatcher: (path: string, options: ChokidarOptions) => FSWatcher
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #watchedFiles = new Set<string>()
  #isListComplete = true
  /** Time of the last change of each file that is not reported yet. */
  readonly #changedAtMs = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(
    config: WatchSettings,
    options: WatchOptions,
    watch: (path: string, options: ChokidarOptions) => FSWatcher,
  ) {
    this.#config = config
    this.#options = options
    this.#createWatcher = watch
  }

  /** Watches the config file and the files of `reload_extra_files`. */
  addExtraFiles(): void {
    const { configFile, cwd } = this.#options
    if (configFile !== undefined) this.#watchFile(configFile)
    for (const path of this.#config.reload_extra_files) {
      const full = resolve(cwd, path)
      if (isGlob(full)) {
        const pattern = globToRegExp(full)
        this.#watchTree(globBase(full), (file) => pattern.test(file))
      } else if (statSync(full, { throwIfNoEntry: false })?.isDirectory() === true) {
        this.#watchTree(full, () => true)
      } else this.#watchFile(full)
    }
  }

  addLoadedFiles(files: readonly string[], isComplete: boolean): void {
    for (const file of files) this.#watchFile(file)
    this.#isListComplete = isComplete
    if (!isComplete)
      this.#watchTree(this.#config.chdir, (file) => !this.#isListComplete && isSource(file))
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) void watcher.close()
    this.#watchers.clear()
  }

  /**
   * Watches the directory of a file, for all source files in it: the worker may load others of them
   * later.
   */
  #watchFile(path: string): void {
    const isNew = !this.#watchedFiles.has(path)
    this.#watchedFiles.add(path)
    const directory = dirname(path)
    const watcher = this.#watchers.get(directory)
    if (watcher !== undefined) {
      if (isNew && !isSource(path)) watcher.add(path)
      return
    }
    this.#openWatcher(directory, directory, {
      depth: 0,
      ignored: (file, stats) =>
        stats?.isFile() === true && !isSource(file) && !this.#watchedFiles.has(file),
    }).on('all', (event, file) =>
      this.#recordChange(event, file, (known) => this.#watchedFiles.has(known)),
    )
  }

  #watchTree(directory: string, accepts: PathFilter): void {
    const key = `${directory}${sep}**`
    if (this.#watchers.has(key)) return
    this.#openWatcher(key, directory, {
      ignored: (file, stats) =>
        isExcluded(relative(directory, file)) || (stats?.isFile() === true && !accepts(file)),
    }).on('all', (event, file) => this.#recordChange(event, file, accepts))
  }

  #openWatcher(key: string, directory: string, options: ChokidarOptions): FSWatcher {
    const { log } = this.#options
    const watcher = this.#createWatcher(directory, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      usePolling: this.#config.reload_engine === 'poll',
      interval: POLL_MS,
      ...options,
    })
    this.#watchers.set(key, watcher)
    watcher.on('error', (error) => logLine(log, 'watchFailed', key, String(error)))
    watcher.on('ready', () => this.#logReady(key))
    return watcher
  }

  /** With polling, the first look at each file may come after the event `'ready'`. */
  #logReady(key: string): void {
    const waitMs = this.#config.reload_engine === 'poll' ? POLL_MS : 0
    setTimeout(() => {
      if (this.#watchers.has(key)) logLine(this.#options.log, 'watchingPath', key)
    }, waitMs).unref()
  }

  #recordChange(event: string, path: string, accepts: PathFilter): void {
    const file = resolve(path)
    if (event.endsWith('Dir') || !accepts(file)) return
    if (this.#changedAtMs.size === 0) this.#scheduleReport(system.now())
    this.#changedAtMs.set(file, system.now())
  }

  #scheduleReport(sinceMs: number): void {
    this.#timer = setTimeout(() => this.#reportChanges(sinceMs), SETTLE_MS)
  }

  #reportChanges(sinceMs: number): void {
    const now = system.now()
    const settled = [...this.#changedAtMs]
      .filter(([, notedAtMs]) => now - notedAtMs >= CHOKIDAR_THROTTLE_MS)
      .map(([file]) => file)
    if (settled.length < this.#changedAtMs.size && now - sinceMs < MAX_BATCH_MS) {
      this.#scheduleReport(sinceMs)
      return
    }
    for (const file of settled) this.#changedAtMs.delete(file)
    if (this.#changedAtMs.size > 0) this.#scheduleReport(now)
    if (settled.length > 0) this.#options.onChange(settled)
  }
}

const SOURCE_EXTENSIONS = new Set(['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx'])

function isSource(path: string): boolean {
  return SOURCE_EXTENSIONS.has(extname(path))
}

// Packages, and files and directories whose names start with a dot.
function isExcluded(path: string): boolean {
  return path.split(sep).some((part) => part === 'node_modules' || /^\.[^.]/.test(part))
}
