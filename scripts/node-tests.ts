/**
 * Runs node's own tests of http and https twice, on plain Node and with `monoceros/register`, and prints what passes there
 * and not here: `npx tsx scripts/node-tests.ts CHECKOUT [--node PATH] [--only REGEXP] [--seconds N]`.
 *
 * CHECKOUT has node's `test/` directory, of the version of the Node that runs it. Foreign sources are never committed.
 */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './command.ts'
import { REGISTER, type Results, report } from './comparison.ts'

/** Tests that run side by side: most of them wait. */
const ABREAST = 3

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: process.execPath },
    only: { type: 'string', default: '^test-https?-' },
    seconds: { type: 'string', default: '20' },
  },
})
const folder = resolve(positionals[0] ?? '.', 'test/parallel')
const only = new RegExp(values.only)
const files = readdirSync(folder).filter((name) => only.test(name) && /\.m?js$/.test(name))
const stock: Results = new Map()
const ours: Results = new Map()

/** Runs one test, which works in a directory of `scratch`, and says whether it passed. */
async function passes(file: string, scratch: string, options: string, into: Results) {
  const path = join(folder, file)
  const flags = /^\/\/ Flags: (.*)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? ''
  const { status, output } = await run(values.node, [...(flags.match(/\S+/g) ?? []), path], {
    env: { ...process.env, NODE_OPTIONS: options, NODE_TEST_DIR: scratch },
    show: false,
    seconds: Number(values.seconds),
  })
  const said = output.split('\n').find((line) => /^\w*(?:Error|Mismatched)/.test(line))
  into.set(file, { passed: status === 0, text: said ?? '' })
  return status === 0
}

async function work(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'node-tests-'))
  for (let file = files.pop(); file !== undefined; file = files.pop()) {
    if (await passes(file, scratch, '', stock)) {
      await passes(file, scratch, `--require ${REGISTER}`, ours)
    }
  }
}

await Promise.all(Array.from({ length: ABREAST }, work))
report("node's own tests", stock, ours)
