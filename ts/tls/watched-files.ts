/**
 * The TLS of one reading of the settings: its files are read at once, looked at each second, and read again when they
 * have changed. What cannot be used leaves what was there before.
 */
import { readFileSync, statSync } from 'node:fs'

import type { Logger } from '../log/logger.ts'
import { ExpiryWatch } from './expiry.ts'
import type { ReadFile, TlsMaterial } from './material.ts'

/** Makes the material, and reads files by nothing but what it is given; undefined when there is no TLS. */
export type ReadTls = (readFile: ReadFile) => TlsMaterial | undefined

export class KeptTls {
  readonly #read: ReadTls
  #material: TlsMaterial
  /** As of each file that was read, by path. */
  #files: Map<string, string>
  /** What the files were like when they were last found changed: they are read when they have come to rest. */
  #moving: string | undefined
  readonly #expiry = new ExpiryWatch()

  private constructor(read: ReadTls, material: TlsMaterial, files: Map<string, string>) {
    this.#read = read
    this.#material = material
    this.#files = files
  }

  /** Undefined when there is no TLS; throws when something cannot be used. */
  static open(read: ReadTls): KeptTls | undefined {
    const files = new Map<string, string>()
    const material = read(noting(files))
    return material === undefined ? undefined : new KeptTls(read, material, files)
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** Looks at files and dates, and says whether the material is another from now on. */
  look(date: Date, log: Logger): boolean {
    const isOther = this.#lookAtFiles(log)
    this.#expiry.look(this.#material, date, log)
    return isOther
  }

  #lookAtFiles(log: Logger): boolean {
    const now = [...this.#files.keys()].map((path) => [path, likeness(path)] as const)
    const changed = now.filter(([path, likeness]) => this.#files.get(path) !== likeness)
    if (changed.length === 0) {
      this.#moving = undefined
      return false
    }
    const moving = JSON.stringify(now)
    if (moving !== this.#moving) {
      // Certificate and key may come one after the other.
      this.#moving = moving
      return false
    }
    this.#moving = undefined
    const paths = changed.map(([path]) => path).join(', ')
    // Also when it fails: the same files would fail again.
    const files = new Map(now)
    this.#files = files
    try {
      const material = this.#read(noting(files))
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
function noting(files: Map<string, string>): ReadFile {
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
