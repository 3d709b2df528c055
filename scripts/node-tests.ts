/**
 * Runs node's own tests of http and https twice, on plain Node and with `monoceros/register`, and prints what passes there
 * and not here: `npx tsx scripts/node-tests.ts CHECKOUT [--node PATH] [--only REGEXP] [--seconds N]`.
 *
 * CHECKOUT has node's `test/` directory, of the version of the Node that runs it. Foreign sources are never committed.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from './command.ts'

const REGISTER = join(ROOT, 'dist/register/register.js')

/** Tests that run side by side: most of them wait. */
const ABREAST = 3

interface Run {
  readonly node: string
  readonly folder: string
  readonly seconds: number
  /** What common/tmpdir.js of the checkout works in, one for each that runs at a time. */
  readonly scratch: string
}

/** Runs one test and returns why it failed; nothing when it passed. */
function failure(file: string, run: Run, options: string): Promise<string | undefined> {
  const path = join(run.folder, file)
  const flags = /^\/\/ Flags: (.*)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? ''
  const child = spawn(run.node, [...flags.split(/\s+/).filter(Boolean), path], {
    env: { ...process.env, NODE_OPTIONS: options, NODE_TEST_DIR: run.scratch },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: run.seconds * 1_000,
    killSignal: 'SIGKILL',
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (data: string) => {
    errors += data
  })
  return new Promise((done) => {
    child.on('close', (code, signal) => {
      const said = errors.split('\n').find((line) => /^\w*(?:Error|Mismatched)/.test(line))
      if (code === 0) done(undefined)
      else done(signal === null ? (said ?? `exit ${code}`) : `ended by ${signal}`)
    })
  })
}

async function main(): Promise<void> {
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
  const { node, seconds } = values
  let passed = 0
  let next = 0
  const lost: string[] = []
  const work = async (): Promise<void> => {
    const scratch = mkdtempSync(join(tmpdir(), 'node-tests-'))
    const run: Run = { node, folder, scratch, seconds: Number(seconds) }
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      if ((await failure(file, run, '')) !== undefined) continue
      passed++
      const why = await failure(file, run, `--require ${REGISTER}`)
      if (why !== undefined) lost.push(`  ${file}: ${why}`)
    }
  }
  await Promise.all(Array.from({ length: ABREAST }, work))
  console.log(
    `${files.length} files, ${passed} pass on node, ${passed - lost.length} of them here ` +
      `(${(((passed - lost.length) / passed) * 100).toFixed(1)} %)`,
  )
  for (const line of lost.sort()) console.log(line)
}

await main()
