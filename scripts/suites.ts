/**
 * Runs the test suite of another package twice, on plain Node and with `monoceros/register`, and
 * prints the tests that pass only on plain Node:
 * `npx tsx scripts/suites.ts CHECKOUT [--node PATH] [--seconds N] [-- COMMAND...]`.
 *
 * CHECKOUT is a directory of the package with its dependencies installed. The default command comes
 * from its package.json and must use one of the known test runners. The repository never contains
 * sources of other projects.
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
  /** Matches the package's `test` script if the package uses this runner. */
  readonly scriptPattern: RegExp
  /** Command line that runs the suite and writes its results to the file `output`, if it can. */
  command(script: string, output: string): string
  /** Parses the results from the standard output or from the file `output`. */
  read(printed: string, output: string): Results
}

const runners: readonly Runner[] = [
  {
    scriptPattern: /\bmocha\b/,
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
        results.set(unusedName(results, title), { passed, text })
      }
      return results
    },
  },
  {
    scriptPattern: /\bvitest\b/,
    command: (_script, output) => `vitest run --reporter=json --outputFile=${output}`,
    read: (_printed, output) => readJest(output),
  },
  {
    scriptPattern: /\bjest\.js\b/,
    command: (script, output) => {
      const given = script.replace(/--coverage\b/g, '')
      return `${given} --forceExit --json --outputFile=${output}`
    },
    read: (_printed, output) => readJest(output),
  },
  {
    scriptPattern: /\btape\b/,
    command: (script) => script.replace(/\|.*/, ''),
    read: (printed) => readTap(printed),
  },
  {
    scriptPattern: /\bava\b/,
    // Options of Node in the script would replace those of `NODE_OPTIONS`.
    command: (script) => {
      const options = /NODE_OPTIONS='(.*?)'/.exec(script)?.[1] ?? ''
      const given = /\bava\b([^&|;]*)/.exec(script)?.[1] ?? ''
      return `NODE_OPTIONS="$NODE_OPTIONS ${options}" ava --tap ${given}`
    },
    read: (printed) => readTap(printed),
  },
  {
    scriptPattern: /\blab\b/,
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
    scriptPattern: /\bnode --test\b|\bborp\b/,
    command: (script) => {
      const given = /\b(?:node --test|borp)\b([^&|;]*)/.exec(script)?.[1] ?? ''
      const kept = given.replace(/(?<=\s)-(?!-test)\S+(?: \d+)?/g, '')
      return `node --test --test-reporter tap ${kept}`
    },
    read: (printed) => readTap(printed),
  },
]

interface MochaResult {
  readonly title: string
  readonly passed: boolean
  readonly text: string
}

interface JestReport {
  readonly testResults: readonly {
    name: string
    assertionResults: readonly { fullName: string; status: string; failureMessages?: string[] }[]
  }[]
}

interface LabReport {
  readonly tests: Record<string, readonly { title: string; err: unknown }[]>
}

/** Reads the report of jest, which vitest writes too. */
function readJest(output: string): Results {
  const results: Results = new Map()
  const report = JSON.parse(readFileSync(output, 'utf8')) as JestReport
  for (const { name, assertionResults } of report.testResults) {
    for (const { fullName, status, failureMessages } of assertionResults) {
      if (status !== 'passed' && status !== 'failed') continue
      const title = unusedName(results, `${basename(name)} ${fullName}`)
      results.set(title, { passed: status === 'passed', text: failureMessages?.[0] ?? '' })
    }
  }
  return results
}

/** Numbers a title that several tests have. */
function unusedName(results: Results, title: string): string {
  let name = title
  for (let nth = 2; results.has(name); nth++) name = `${title} (${nth})`
  return name
}

/**
 * Parses TAP output, Node's or tape's. The name of a test includes those of its parents, by
 * indentation.
 */
function readTap(printed: string): Results {
  const results: Results = new Map()
  const parents: string[] = []
  for (const line of printed.split('\n')) {
    const started = /^( *)# Subtest: (.*)$/.exec(line)
    if (started !== null) {
      const depth = (started[1]?.length ?? 0) / 4
      parents.length = depth
      parents[depth] = started[2] ?? ''
    }
    const ended = /^( *)(not ok|ok) \d+ (?:- )?(.*?)(?: # (SKIP|TODO).*)?$/.exec(line)
    if (ended === null || ended[4] !== undefined) continue
    const name = [...parents.slice(0, (ended[1]?.length ?? 0) / 4), ended[3]].join(' > ')
    results.set(unusedName(results, name), { passed: ended[2] === 'ok', text: '' })
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
  const known = (text: string) => runners.find(({ scriptPattern }) => scriptPattern.test(text))
  const text = given ?? script.find((each) => known(each) !== undefined) ?? ''
  const runner = known(text)
  if (runner === undefined) throw new TypeError(`no known test runner in "${script.join('; ')}"`)

  const run = async (nodeOptions: string): Promise<Results> => {
    const output = join(mkdtempSync(join(tmpdir(), 'suite-')), 'report.json')
    const printed = await runCommand(runner.command(text, output), {
      checkout,
      node: values.node ?? process.execPath,
      nodeOptions,
      seconds: Number(values.seconds),
    })
    return runner.read(printed, output)
  }
  const plain = await run('')
  // `--require`, because Node 20 loads TypeScript and other main files differently with `--import`.
  const registered = await run(`--require ${REGISTER}`)
  report(`${manifest.name} ${manifest.version}`, plain, registered)
}

interface RunOptions {
  readonly checkout: string
  readonly node: string
  /** Value of NODE_OPTIONS. */
  readonly nodeOptions: string
  /** Time limit, after which the suite is killed. */
  readonly seconds: number
}

/** Runs a command and returns what it prints, also when the time is over. */
function runCommand(command: string, run: RunOptions): Promise<string> {
  const bins = [...binFoldersOf(run.checkout), dirname(run.node), process.env.PATH]
  const child = spawn('bash', ['-c', command], {
    cwd: run.checkout,
    env: { ...process.env, NODE_OPTIONS: run.nodeOptions, PATH: bins.join(':') },
    stdio: ['ignore', 'pipe', 'ignore'],
    // A process group of its own: a suite that hangs does so in a child of the shell.
    detached: true,
  })
  const { pid } = child
  if (pid === undefined) throw new Error('bash could not be started')
  const timer = setTimeout(() => process.kill(-pid, 'SIGKILL'), run.seconds * 1_000)
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    printed += data
  })
  return new Promise((done) => {
    child.on('close', () => {
      clearTimeout(timer)
      done(printed)
    })
  })
}

/** Folders of programs that npm puts into PATH: of the package and of the workspaces above it. */
function binFoldersOf(folder: string): string[] {
  const parent = dirname(folder)
  return [join(folder, 'node_modules/.bin'), ...(parent === folder ? [] : binFoldersOf(parent))]
}

await main()
