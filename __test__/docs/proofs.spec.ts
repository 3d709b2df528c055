// Each test that docs/gunicorn.md names is there, and each setting that works has one.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { LOG_LINES } from '../../ts/log/log-lines.ts'
import { ROWS } from '../../ts/settings/names.ts'
import {
  HOOK_PROOFS,
  LATER_PROOF,
  LINE_PROOFS,
  NONE_PROOF,
  SETTING_PROOFS,
  SIGNAL_PROOFS,
  UNPROVED_LINES,
} from '../proofs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

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

test('every setting that works has a test', (t) => {
  const built = ROWS.filter(([, row]) => row.status === 'supported' && row.section !== 'Hooks')
  const without = built.map(([name]) => name as string).filter((name) => !(name in SETTING_PROOFS))
  t.deepEqual(without, [])
})

test('every line of the log has a test, or is named as one without', (t) => {
  const without = Object.keys(LOG_LINES).filter((name) => !(name in LINE_PROOFS))
  t.deepEqual(without, UNPROVED_LINES)
})
