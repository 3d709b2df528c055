// Texts that people read are kept as files under __test__/golden. UPDATE_GOLDEN=1 writes them anew; the diff is the review.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

/** Compares a text with the golden file of that name. */
export function matchesGolden(t: ExecutionContext, name: string, text: string): void {
  const path = fileURLToPath(new URL(`../golden/${name}`, import.meta.url))
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  t.true(existsSync(path), `${path} is missing: run again with UPDATE_GOLDEN=1`)
  t.is(readFileSync(path, 'utf8'), text)
}
