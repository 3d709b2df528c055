/**
 * Watches the files of an application for `reload`. Directories are watched and not the files themselves, since an
 * editor that saves by renaming leaves another file under the old name.
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
 * Chokidar passes over what happens to a file so shortly after a change of it that it has told: whoever reads the file
 * before that would miss its next change.
 */
const CHOKIDAR_THROTTLE_MS = 50
/** Changes are told once none follows for this long: an editor saves in several steps, `git checkout` many files. */
const SETTLE_MS = CHOKIDAR_THROTTLE_MS + 10
/** But so often where files are written all the time. */
const MAX_BATCH_MS = 500
const POLL_MS = 500

export interface SourceWatch {
  /** Files that are loaded. If these are not all, any code below the application's directory counts as well. */
  addLoadedFiles(files: readonly string[], isComplete: boolean): void
  close(): void
}

export interface WatchOptions {
  readonly log: Logger
  /** The directory of the start, which extra files are relative to. */
  readonly cwd: string
  readonly configFile: string | undefined
  readonly onChange: (files: readonly string[]) => void
}

type WatchSettings = Pick<Config, 'reload_engine' | 'reload_extra_files' | 'chdir'>

export type OpenSourceWatch = (config: WatchSettings, options: WatchOptions) => Promise<SourceWatch>

/** Loads the watcher, which nobody needs without `reload`, and begins. */
export const openSourceWatch: OpenSourceWatch = async (config, options) => {
  const { watch } = await import('chokidar')
  const opened = new ChokidarSourceWatch(config, options, watch)
  opened.addExtraFiles()
  return opened
}

/** Whether a change of a file of this path is one to tell. */
type PathFilter = (path: string) => boolean

class ChokidarSourceWatch implements SourceWatch {
  readonly #config: WatchSettings
  readonly #options: WatchOptions
  readonly #createWatcher: (path: string, options: ChokidarOptions) => FSWatcher
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #watchedFiles = new Set<string>()
  #isListComplete = true
  /** When each was noted. */
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

  /** Those of the settings, and the config file. */
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

  /** All code in the file's directory is looked at: what else of it is loaded, one learns only later. */
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

  /** A poll knows a change by what it saw before: its first look at each file may end after `'ready'`. */
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

// What belongs to others, and to tools.
function isExcluded(path: string): boolean {
  return path.split(sep).some((part) => part === 'node_modules' || /^\.[^.]/.test(part))
}
