/**
 * The TLS of one reading of the settings: its files are read at once, looked at each second, and read again when they
 * have changed. What cannot be used leaves what was there before.
 */
import { readFileSync, statSync } from 'node:fs'

import type { Logger } from '../log/logger.ts'
import { ExpiryMonitor } from './expiry.ts'
import type { ReadFile, TlsMaterial } from './material.ts'

/** Makes the material, and reads files by nothing but what it is given; undefined when there is no TLS. */
export type TlsReader = (readFile: ReadFile) => TlsMaterial | undefined

export class WatchedTlsFiles {
  readonly #read: TlsReader
  #material: TlsMaterial
  /** As of each file that was read, by path. */
  #fingerprints: Map<string, string>
  /** What the files were like when they were last found changed: they are read when they have come to rest. */
  #unsettled: string | undefined
  readonly #expiry = new ExpiryMonitor()

  private constructor(read: TlsReader, material: TlsMaterial, files: Map<string, string>) {
    this.#read = read
    this.#material = material
    this.#fingerprints = files
  }

  /** Undefined when there is no TLS; throws when something cannot be used. */
  static open(read: TlsReader): WatchedTlsFiles | undefined {
    const files = new Map<string, string>()
    const material = read(recordingReader(files))
    return material === undefined ? undefined : new WatchedTlsFiles(read, material, files)
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** Looks at files and dates, and says whether the material is another from now on. */
  checkForChanges(date: Date, log: Logger): boolean {
    const isOther = this.#rereadChangedFiles(log)
    this.#expiry.logExpiry(this.#material, date, log)
    return isOther
  }

  #rereadChangedFiles(log: Logger): boolean {
    const now = [...this.#fingerprints.keys()].map((path) => [path, likeness(path)] as const)
    const changed = now.filter(
      ([path, fingerprintOf]) => this.#fingerprints.get(path) !== fingerprintOf,
    )
    if (changed.length === 0) {
      this.#unsettled = undefined
      return false
    }
    const moving = JSON.stringify(now)
    if (moving !== this.#unsettled) {
      // Certificate and key may come one after the other.
      this.#unsettled = moving
      return false
    }
    this.#unsettled = undefined
    const paths = changed.map(([path]) => path).join(', ')
    // Also when it fails: the same files would fail again.
    const files = new Map(now)
    this.#fingerprints = files
    try {
      const material = this.#read(recordingReader(files))
      if (material === undefined || JSON.stringify(material) === JSON.stringify(this.#material)) {
        return false
      }
      this.#material = material
      log.info(`TLS: ${paths} changed; connections that begin now get what is there`)
      return true
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      log.error(`TLS: ${paths} changed and cannot be used, what was read before stays: ${problem}`)
      return false
    }
  }
}

/** Reads files and notes what they are like. */
function recordingReader(files: Map<string, string>): ReadFile {
  return (path) => {
    // Before it is read: whoever changes it meanwhile is noticed.
    files.set(path, likeness(path))
    return readFileSync(path)
  }
}

/** What changes when a file does, or a link on the way to it. */
function likeness(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    // Not there, or not to be seen: reading it says why.
    return 'none'
  }
}
