// Compares texts with files under __test__/golden. UPDATE_GOLDEN=1 writes the files again, so that
// a change can be reviewed as a diff.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

/** Asserts that a text equals the golden file of this name. */
export function matchesGolden(t: ExecutionContext, name: string, text: string): void {
  const path = fileURLToPath(new URL(`../golden/${name}`, import.meta.url))
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  t.true(existsSync(path), `${path} is missing: run again with UPDATE_GOLDEN=1`)
  t.is(readFileSync(path, 'utf8'), text)
}
