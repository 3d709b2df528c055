// Each test that docs/gunicorn.md names is there, and each setting that works has one.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { LOG_LINES, type LogLine, type LogLineName } from '../../ts/log/log-lines.ts'
import { ROWS } from '../../ts/settings/names.ts'
import {
  HOOK_PROOFS,
  LATER_PROOF,
  LINE_PROOFS,
  NONE_PROOF,
  SETTING_PROOFS,
  SIGNAL_PROOFS,
} from '../proofs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Settings of which no test looks at more than that they are read. */
const UNPROVED: readonly string[] = ['suppress_ragged_eofs']

const all = [
  ...Object.values(SETTING_PROOFS),
  ...Object.values(SIGNAL_PROOFS),
  ...Object.values(HOOK_PROOFS),
  ...Object.values(LINE_PROOFS),
  ...[LATER_PROOF, NONE_PROOF],
]

for (const proof of new Set(all)) {
  test(`${proof} exists`, (t) => {
    const [file = '', title = ''] = proof.split(' › ')
    const path = `${ROOT}${file.startsWith('crates/') ? '' : '__test__/'}${file}`
    t.true(existsSync(path), path)
    t.true(readFileSync(path, 'utf8').includes(title), title)
  })
}

test('every setting that works has a test, or is named as one without', (t) => {
  const built = ROWS.filter(([, row]) => row.status === 'built' && row.section !== 'Hooks')
  const without = built.map(([name]) => name as string).filter((name) => !(name in SETTING_PROOFS))
  t.deepEqual(without, UNPROVED)
})

test('every line of the log that Gunicorn has too has a test', (t) => {
  const lines = Object.entries<LogLine>(LOG_LINES).filter(([, row]) => row.gunicorn !== undefined)
  t.deepEqual(
    lines.map(([name]) => name).filter((name) => LINE_PROOFS[name as LogLineName] === undefined),
    [],
  )
})
