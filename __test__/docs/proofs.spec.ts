// Checks that every test in docs/gunicorn.md exists, and that every supported setting and every
// command of the control socket has one.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ROWS } from '../../ts/settings/names.ts'
import { COMMAND_PROOFS } from '../command-proofs.ts'
import { HOOK_PROOFS } from '../hook-proofs.ts'
import { LINE_PROOFS } from '../log-line-proofs.ts'
import { LATER_PROOF, NONE_PROOF, SETTING_PROOFS } from '../proofs.ts'
import { SIGNAL_PROOFS } from '../signal-proofs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const all = [
  ...Object.values(SETTING_PROOFS),
  ...Object.values(SIGNAL_PROOFS),
  ...Object.values(HOOK_PROOFS),
  ...Object.values(COMMAND_PROOFS),
  ...Object.values(LINE_PROOFS),
  ...[LATER_PROOF, NONE_PROOF],
]

for (const proof of new Set(all)) {
  test(`the test named by docs/gunicorn.md or a table of proofs exists: ${proof}`, (t) => {
    const [file = '', title = ''] = proof.split(' › ')
    const path = `${ROOT}${file.startsWith('crates/') ? '' : '__test__/'}${file}`
    t.true(existsSync(path), path)
    t.true(readFileSync(path, 'utf8').includes(title), title)
  })
}

test('every supported setting has a test in docs/gunicorn.md', (t) => {
  const built = ROWS.filter(([, row]) => row.status === 'supported' && row.section !== 'Hooks')
  const without = built.map(([name]) => name as string).filter((name) => !(name in SETTING_PROOFS))
  t.deepEqual(without, [])
})
