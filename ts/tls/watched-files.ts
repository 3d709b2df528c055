/**
 * The TLS files of the settings: read at once, checked each second, and read again when they have
 * changed. If the new contents cannot be used, the previous material stays in use.
 */
import { readFileSync, statSync } from 'node:fs'

import type { Logger } from '../log/logger.ts'
import { ExpiryMonitor } from './expiry.ts'
import type { ReadFile, TlsMaterial } from './material.ts'

/** Creates the material and reads files only with `readFile`; returns undefined without TLS. */
export type TlsReader = (readFile: ReadFile) => TlsMaterial | undefined

/** TLS material with the files that it comes from. */
export class WatchedTlsFiles {
  readonly #read: TlsReader
  #material: TlsMaterial
  /** The fingerprint of each file at the time of its last reading, by path. */
  #fingerprints: Map<string, string>
  /**
   * The fingerprints at the last check that found a change: files are read once they are the same
   * at two checks.
   */
  #unsettled: string | undefined
  readonly #expiry = new ExpiryMonitor()

  private constructor(read: TlsReader, material: TlsMaterial, files: Map<string, string>) {
    this.#read = read
    this.#material = material
    this.#fingerprints = files
  }

  /** Reads the files; returns undefined without TLS, and throws if a file cannot be used. */
  static open(read: TlsReader): WatchedTlsFiles | undefined {
    const files = new Map<string, string>()
    const material = read(recordingReader(files))
    return material === undefined ? undefined : new WatchedTlsFiles(read, material, files)
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** Checks files and expiry dates; returns whether there is new material. */
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
      // Waits for the next check: certificate and key may be written one after the other.
      this.#unsettled = moving
      return false
    }
    this.#unsettled = undefined
    const paths = changed.map(([path]) => path).join(', ')
    // Also if reading fails: the same files would fail again.
    const files = new Map(now)
    this.#fingerprints = files
    try {
      const material = this.#read(recordingReader(files))
      if (material === undefined || JSON.stringify(material) === JSON.stringify(this.#material)) {
        return false
      }
      this.#material = material
      log.info(`TLS: ${paths} changed; new connections use the new files`)
      return true
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      log.error(`TLS: ${paths} changed and cannot be used, the old files stay in use: ${problem}`)
      return false
    }
  }
}

/** Creates a reader that records the fingerprint of each file. */
function recordingReader(files: Map<string, string>): ReadFile {
  return (path) => {
    // Before the file is read, so that a change during the reading is noticed.
    files.set(path, likeness(path))
    return readFileSync(path)
  }
}

/** Describes a file by inode, size and time of change; follows links. */
function likeness(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    // The file cannot be accessed; the attempt to read it reports why.
    return 'none'
  }
}
