// Directories that live as long as the process of a test file, and are removed with it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []

process.once('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

/** Makes an empty directory. */
export function temporaryDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `monoceros-${name}-`))
  made.push(directory)
  return directory
}
