// Detects whether a build output still matches its sources, so that a second build is quick.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT } from './command.ts'

/** Folder of the stamps of earlier builds. `target` is never committed or packed. */
const STAMPS = join(ROOT, 'target', 'stamps')

/**
 * Computes a digest of the names, sizes and modification times of all files below the given paths.
 * The names make it change when a source is removed, which the newest time would not show.
 */
export function fingerprint(paths: readonly string[], extra = ''): string {
  const digest = createHash('sha256').update(extra)
  for (const path of paths) {
    for (const file of filesBelow(join(ROOT, path))) {
      const { size, mtimeMs } = statSync(file)
      digest.update(`${relative(ROOT, file)}\0${size}\0${mtimeMs}\n`)
    }
  }
  return digest.digest('hex')
}

/** Reads the stamp that the last build of this name wrote. */
export function readStamp(name: string): string | undefined {
  const path = join(STAMPS, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** Stores a stamp of the sources from which this name was built. */
export function writeStamp(name: string, value: string): void {
  const path = join(STAMPS, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, value)
}

/**
 * Lists all files below a folder, sorted. A file is listed itself; for a missing path the list is
 * empty.
 */
export function filesBelow(path: string): string[] {
  if (!existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => filesBelow(join(path, entry.name)))
}
