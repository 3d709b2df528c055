// Answers whether something built is still what its sources would give, so that a second build is quick.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT } from './command.ts'

/** Where it is written down what was built from what; `target` is never committed or packed. */
const STAMPS = join(ROOT, 'target', 'stamps')

/**
 * A digest over the names, sizes and modification times of all files below the given paths. Names are in it, not only
 * the newest time, because a source that was removed has to count too.
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

/** What was written down when the thing of this name was built last. */
export function readStamp(name: string): string | undefined {
  const path = join(STAMPS, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** Writes down what the thing of this name has been built from. */
export function writeStamp(name: string, value: string): void {
  const path = join(STAMPS, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, value)
}

/** All files below a folder, sorted; the path itself if it is a file; nothing if it does not exist. */
export function filesBelow(path: string): string[] {
  if (!existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => filesBelow(join(path, entry.name)))
}
