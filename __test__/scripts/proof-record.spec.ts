// The comparison of the tables of proofs with what tests used, on records of a few uses.
import test from 'ava'

import { findUnproven, titlePattern } from '../../scripts/proof-record.ts'
import { LINE_PROOFS } from '../log-line-proofs.ts'
import { SETTING_PROOFS } from '../proofs.ts'
import { SIGNAL_PROOFS } from '../signal-proofs.ts'
import type { Use } from '../uses.ts'

/** The rows that these uses leave unproven, of those that `proof` is named for. */
async function unproven(proof: string | undefined, ...uses: Omit<Use, 'test'>[]) {
  const [file, title] = (proof ?? '').split(' › ') as [string, string]
  const record = (asked: string) =>
    asked === file ? uses.map((use) => ({ ...use, test: `native: ${title}` })) : []
  const rows = await findUnproven(record, (...row) => row.join() === [file, title].join())
  return rows.map((row) => row.split(':')[0])
}

/** A start of the command with these arguments, variables and files. */
const start = (
  args: string[],
  { env = {}, files = {} }: { env?: Record<string, string>; files?: Record<string, string> } = {},
): Omit<Use, 'test'> => ({ start: { args, env, files, directory: '/nowhere' } })

const { keepalive, backlog } = SETTING_PROOFS

test('a setting is proved by a value other than its default', async (t) => {
  t.deepEqual(await unproven(keepalive), ['setting keepalive'])
  t.deepEqual(await unproven(keepalive, { settings: { keepalive: 75 } }), ['setting keepalive'])
  t.deepEqual(await unproven(keepalive, { settings: { keepalive: 5 } }), [])
})

test('the settings of a start are read from arguments, variables and config files', async (t) => {
  t.deepEqual(await unproven(backlog, start(['--backlog', '2048'])), ['setting backlog'])
  t.deepEqual(await unproven(backlog, start(['--backlog', '3'])), [])
  t.deepEqual(await unproven(backlog, start([], { env: { MONOCEROS_BACKLOG: '3' } })), [])
  const words = { MONOCEROS_CMD_ARGS: '--backlog 3' }
  t.deepEqual(await unproven(backlog, start([], { env: words })), [])
  const text = 'module.exports = { backlog: 3 }'
  t.deepEqual(await unproven(backlog, start([], { files: { 'monoceros.config.cjs': text } })), [])
  const named = start(['-c', '/nowhere/own.cjs'], { files: { 'own.cjs': text } })
  t.deepEqual(await unproven(backlog, named), [])
})

test('a start with a broken config file or a wrong argument proves nothing', async (t) => {
  const broken = { files: { 'monoceros.config.cjs': 'throw new Error("broken")' } }
  t.deepEqual(await unproven(backlog, start([], broken)), ['setting backlog'])
  t.deepEqual(await unproven(backlog, start(['--no-such-flag'])), ['setting backlog'])
})

test('a signal is proved when it is sent, and CHLD by the end of a worker', async (t) => {
  t.deepEqual(await unproven(SIGNAL_PROOFS.USR1), [
    'setting accesslog',
    'setting errorlog',
    'signal USR1',
  ])
  const sent = await unproven(SIGNAL_PROOFS.USR1, { signals: ['SIGUSR1'] })
  t.false(sent.includes('signal USR1'))
  const before = await unproven(SIGNAL_PROOFS.CHLD, { lines: ['workerReady'] })
  t.true(before.includes('signal CHLD'))
  const after = await unproven(SIGNAL_PROOFS.CHLD, { lines: ['workerKilledExternally'] })
  t.false(after.includes('signal CHLD'))
})

test('a title with parts that vary names all tests of its kind', (t) => {
  const pattern = titlePattern(LINE_PROOFS.loopTakeovers.split(' › ')[1] ?? '')
  const title = 'a blocked socket delays no handshake, refusal or deadline (movable)'
  t.regex(title, pattern)
  t.notRegex(title.replace('no', 'a'), pattern)
})
