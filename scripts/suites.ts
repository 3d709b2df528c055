/**
 * Runs the test suite of somebody else's package twice, on plain Node and with `monoceros/register`, and prints what
 * passes there and not here: `npx tsx scripts/suites.ts CHECKOUT [--node PATH] [--seconds N] [-- COMMAND...]`.
 *
 * CHECKOUT is a directory with its dependencies installed. The command is guessed from its package.json; it has to print
 * the results of one of the known reporters. Foreign sources are never committed.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from './command.ts'
import { REGISTER, type Results, report } from './comparison.ts'

const MOCHA_REPORTER = join(ROOT, 'scripts/mocha-reporter.cjs')

interface Runner {
  /** A part of the package's own `test` script by which it is known. */
  readonly mark: RegExp
  command(script: string, output: string): string
  read(printed: string, output: string): Results
}

const runners: readonly Runner[] = [
  {
    mark: /\bmocha\b/,
    command: (script, output) => {
      const given = /\bmocha\b(.*)$/.exec(script)?.[1] ?? ''
      const kept = given.replace(/--(?:reporter[ =]\S+|bail|no-exit|exit)/g, '')
      return `SUITE_RESULTS=${output} mocha --exit ${kept} --reporter ${MOCHA_REPORTER}`
    },
    read: (_printed, output) => {
      const results: Results = new Map()
      const text = existsSync(output) ? readFileSync(output, 'utf8') : ''
      for (const line of text.split('\n').filter((each) => each !== '')) {
        const { title, passed, text } = JSON.parse(line) as MochaResult
        // Some suites give several tests one name.
        let name = title
        for (let nth = 2; results.has(name); nth++) name = `${title} (${nth})`
        results.set(name, { passed, text })
      }
      return results
    },
  },
  {
    mark: /\bvitest\b/,
    command: (_script, output) => `vitest run --reporter=json --outputFile=${output}`,
    read: (_printed, output) => {
      const results: Results = new Map()
      const report = JSON.parse(readFileSync(output, 'utf8')) as VitestReport
      for (const { name, assertionResults } of report.testResults) {
        for (const { fullName, status, failureMessages } of assertionResults) {
          if (status !== 'passed' && status !== 'failed') continue
          const text = failureMessages?.[0] ?? ''
          results.set(`${basename(name)} ${fullName}`, { passed: status === 'passed', text })
        }
      }
      return results
    },
  },
  {
    mark: /\blab\b/,
    command: (_script, output) => `lab -a @hapi/code -m 5000 -r json -o ${output}`,
    read: (_printed, output) => {
      const results: Results = new Map()
      const { tests } = JSON.parse(readFileSync(output, 'utf8')) as LabReport
      for (const { title, err } of Object.values(tests).flat()) {
        results.set(title, { passed: err === false || err === null, text: String(err) })
      }
      return results
    },
  },
  {
    mark: /\bnode --test\b|\bborp\b/,
    command: (script) => {
      const given = /\b(?:node --test|borp)\b(.*)$/.exec(script)?.[1] ?? ''
      return `node --test --test-reporter tap ${given.replace(/--(?!test)\S+/g, '')}`
    },
    read: (printed) => readTap(printed),
  },
]

interface MochaResult {
  readonly title: string
  readonly passed: boolean
  readonly text: string
}

interface VitestReport {
  readonly testResults: readonly {
    name: string
    assertionResults: readonly { fullName: string; status: string; failureMessages?: string[] }[]
  }[]
}

interface LabReport {
  readonly tests: Record<string, readonly { title: string; err: unknown }[]>
}

/** Node's TAP: a test's name is that of all it stands in; the nesting is told by the indentation. */
function readTap(printed: string): Results {
  const results: Results = new Map()
  const above: string[] = []
  for (const line of printed.split('\n')) {
    const begun = /^( *)# Subtest: (.*)$/.exec(line)
    if (begun !== null) {
      const depth = (begun[1]?.length ?? 0) / 4
      above.length = depth
      above[depth] = begun[2] ?? ''
    }
    const ended = /^( *)(not ok|ok) \d+ - (.*?)(?: # (SKIP|TODO).*)?$/.exec(line)
    if (ended === null || ended[4] !== undefined) continue
    const name = [...above.slice(0, (ended[1]?.length ?? 0) / 4), ended[3]].join(' > ')
    results.set(name, { passed: ended[2] === 'ok', text: '' })
  }
  return results
}

async function main(): Promise<void> {
  const rest = process.argv.indexOf('--')
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2, rest === -1 ? undefined : rest),
    allowPositionals: true,
    options: { node: { type: 'string' }, seconds: { type: 'string', default: '300' } },
  })
  const checkout = resolve(positionals[0] ?? '.')
  const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
    name: string
    version: string
    scripts: Record<string, string>
  }
  const script = Object.entries(manifest.scripts)
    .filter(([name]) => /^(?:test|unit|test:unit|test-node)$/.test(name))
    .map(([, text]) => text)
  const given = rest === -1 ? undefined : process.argv.slice(rest + 1).join(' ')
  const known = (text: string) => runners.find(({ mark }) => mark.test(text))
  const text = given ?? script.find((each) => known(each) !== undefined) ?? ''
  const runner = known(text)
  if (runner === undefined) throw new TypeError(`no known test runner in "${script.join('; ')}"`)

  const run = async (options: string): Promise<Results> => {
    const output = join(mkdtempSync(join(tmpdir(), 'suite-')), 'report.json')
    const printed = await runCommand(runner.command(text, output), {
      checkout,
      node: values.node ?? process.execPath,
      options,
      seconds: Number(values.seconds),
    })
    return runner.read(printed, output)
  }
  const stock = await run('')
  // Not `--import`, with which Node 20 loads TypeScript and other main files differently.
  const ours = await run(`--require ${REGISTER}`)
  report(`${manifest.name} ${manifest.version}`, stock, ours)
}

interface RunOptions {
  readonly checkout: string
  readonly node: string
  /** NODE_OPTIONS. */
  readonly options: string
  readonly seconds: number
}

function runCommand(command: string, run: RunOptions): Promise<string> {
  const bins = [...programsOf(run.checkout), dirname(run.node), process.env.PATH]
  const child = spawn('bash', ['-c', command], {
    cwd: run.checkout,
    env: { ...process.env, NODE_OPTIONS: run.options, PATH: bins.join(':') },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: run.seconds * 1_000,
    killSignal: 'SIGKILL',
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    printed += data
  })
  return new Promise((done) => child.on('close', () => done(printed)))
}

/** Where npm looks for the programs of a package, which may be one of a workspace. */
function programsOf(folder: string): string[] {
  const parent = dirname(folder)
  return [join(folder, 'node_modules/.bin'), ...(parent === folder ? [] : programsOf(parent))]
}

await main()
