/**
 * Runs Node's own tests of http and https twice, on plain Node and with `monoceros/register`, and
 * prints the tests that pass only on plain Node:
 * `npx tsx scripts/node-tests.ts CHECKOUT [--node PATH] [--only REGEXP] [--seconds N]`.
 *
 * CHECKOUT contains Node's `test/` directory, of the same version as the Node that runs the tests.
 * The repository never contains sources of other projects.
 */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './command.ts'
import { REGISTER, type Results, report } from './comparison.ts'

/** Number of concurrent tests. Most tests only wait. */
const CONCURRENT_TESTS = 3

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
const plain: Results = new Map()
const registered: Results = new Map()

/** Runs one test with `scratch` as its work directory; the result is whether it passed. */
async function runTest(file: string, scratch: string, options: string, into: Results) {
  const path = join(folder, file)
  const flags = /^\/\/ Flags: (.*)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? ''
  const { status, output } = await run(values.node, [...(flags.match(/\S+/g) ?? []), path], {
    env: { ...process.env, NODE_OPTIONS: options, NODE_TEST_DIR: scratch },
    show: false,
    seconds: Number(values.seconds),
  })
  const error = output.split('\n').find((line) => /^\w*(?:Error|Mismatched)/.test(line))
  into.set(file, { passed: status === 0, text: error ?? '' })
  return status === 0
}

/** Runs tests from the list until it is empty. */
async function runTests(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'node-tests-'))
  for (let file = files.pop(); file !== undefined; file = files.pop()) {
    if (await runTest(file, scratch, '', plain)) {
      await runTest(file, scratch, `--require ${REGISTER}`, registered)
    }
  }
}

await Promise.all(Array.from({ length: CONCURRENT_TESTS }, runTests))
report("Node's own tests", plain, registered)
