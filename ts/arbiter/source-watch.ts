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
const PASSED_OVER_MS = 50
/** Changes are told once none follows for this long: an editor saves in several steps, `git checkout` many files. */
const SETTLE_MS = PASSED_OVER_MS + 10
/** But so often where files are written all the time. */
const GATHER_MS = 500
const POLL_MS = 500

export interface SourceWatch {
  /** Files that are loaded. If these are not all, any code below the application's directory counts as well. */
  add(files: readonly string[], isWhole: boolean): void
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
  const opened = new Watch(config, options, watch)
  opened.addExtraFiles()
  return opened
}

/** Whether a change of a file of this path is one to tell. */
type Accepts = (path: string) => boolean

class Watch implements SourceWatch {
  readonly #config: WatchSettings
  readonly #options: WatchOptions
  readonly #watch: (path: string, options: ChokidarOptions) => FSWatcher
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #known = new Set<string>()
  #isWhole = true
  /** When each was noted. */
  readonly #changed = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(
    config: WatchSettings,
    options: WatchOptions,
    watch: (path: string, options: ChokidarOptions) => FSWatcher,
  ) {
    this.#config = config
    this.#options = options
    this.#watch = watch
  }

  /** Those of the settings, and the config file. */
  addExtraFiles(): void {
    const { configFile, cwd } = this.#options
    if (configFile !== undefined) this.#addFile(configFile)
    for (const path of this.#config.reload_extra_files) {
      const full = resolve(cwd, path)
      if (isGlob(full)) {
        const pattern = globToRegExp(full)
        this.#below(globBase(full), (file) => pattern.test(file))
      } else if (statSync(full, { throwIfNoEntry: false })?.isDirectory() === true) {
        this.#below(full, () => true)
      } else this.#addFile(full)
    }
  }

  add(files: readonly string[], isWhole: boolean): void {
    for (const file of files) this.#addFile(file)
    this.#isWhole = isWhole
    if (!isWhole) this.#below(this.#config.chdir, (file) => !this.#isWhole && isSource(file))
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) void watcher.close()
    this.#watchers.clear()
  }

  /** All code in the file's directory is looked at: what else of it is loaded, one learns only later. */
  #addFile(path: string): void {
    const isNew = !this.#known.has(path)
    this.#known.add(path)
    const directory = dirname(path)
    const watcher = this.#watchers.get(directory)
    if (watcher !== undefined) {
      if (isNew && !isSource(path)) watcher.add(path)
      return
    }
    this.#open(directory, directory, {
      depth: 0,
      ignored: (file, stats) =>
        stats?.isFile() === true && !isSource(file) && !this.#known.has(file),
    }).on('all', (event, file) => this.#note(event, file, (known) => this.#known.has(known)))
  }

  #below(directory: string, accepts: Accepts): void {
    const key = `${directory}${sep}**`
    if (accepts === undefined || this.#watchers.has(key)) return
    this.#open(key, directory, {
      ignored: (file, stats) =>
        isPassedOver(relative(directory, file)) || (stats?.isFile() === true && !accepts(file)),
    }).on('all', (event, file) => this.#note(event, file, accepts))
  }

  #open(key: string, directory: string, options: ChokidarOptions): FSWatcher {
    const { log } = this.#options
    const watcher = this.#watch(directory, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      usePolling: this.#config.reload_engine === 'poll',
      interval: POLL_MS,
      ...options,
    })
    this.#watchers.set(key, watcher)
    watcher.on('error', (error) => logLine(log, 'watchFailed', key, String(error)))
    watcher.on('ready', () => this.#sayReady(key))
    return watcher
  }

  /** A poll knows a change by what it saw before: its first look at each file may end after `'ready'`. */
  #sayReady(key: string): void {
    const waitMs = this.#config.reload_engine === 'poll' ? POLL_MS : 0
    setTimeout(() => {
      if (this.#watchers.has(key)) logLine(this.#options.log, 'watchingPath', key)
    }, waitMs).unref()
  }

  #note(event: string, path: string, accepts: Accepts): void {
    const file = resolve(path)
    if (event.endsWith('Dir') || !accepts(file)) return
    if (this.#changed.size === 0) this.#tellLater(system.now())
    this.#changed.set(file, system.now())
  }

  #tellLater(sinceMs: number): void {
    this.#timer = setTimeout(() => this.#tell(sinceMs), SETTLE_MS)
  }

  #tell(sinceMs: number): void {
    const now = system.now()
    const settled = [...this.#changed]
      .filter(([, notedAtMs]) => now - notedAtMs >= PASSED_OVER_MS)
      .map(([file]) => file)
    if (settled.length < this.#changed.size && now - sinceMs < GATHER_MS) {
      this.#tellLater(sinceMs)
      return
    }
    for (const file of settled) this.#changed.delete(file)
    if (this.#changed.size > 0) this.#tellLater(now)
    if (settled.length > 0) this.#options.onChange(settled)
  }
}

const SOURCES = new Set(['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx'])

function isSource(path: string): boolean {
  return SOURCES.has(extname(path))
}

// What belongs to others, and to tools.
function isPassedOver(path: string): boolean {
  return path.split(sep).some((part) => part === 'node_modules' || /^\.[^.]/.test(part))
}
