// The command as a process: its output and its exit status.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { helpText } from '../../ts/settings/print.ts'
import { directoryWith } from '../settings/directory.ts'
import { usesStart } from '../uses.ts'

interface Outcome {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

const MAIN = fileURLToPath(new URL('../../ts/cli/main.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')

function monoceros(
  argv: string[],
  {
    cwd,
    env = {},
    closesOutput = false,
  }: { cwd: string; env?: Record<string, string>; closesOutput?: boolean },
): Promise<Outcome> {
  const child = spawn(process.execPath, ['--import', TSX, MAIN, ...argv], {
    cwd,
    env: { PATH: process.env.PATH, PWD: cwd, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Closes the pipe that it prints to.
  if (closesOutput) child.stdout.destroy()
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.err += text
  })
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, ...texts })))
}

const refused = (t: ExecutionContext, outcome: Outcome, status: number, text: RegExp) => {
  t.is(outcome.status, status)
  t.regex(outcome.err, text)
  t.is(outcome.err.trim().split('\n').length, 1, 'one line, no stack')
  t.is(outcome.out, '')
}

test('--help prints the help and exits 0', async (t) => {
  const { status, out, err } = await monoceros(['app.js', '-h'], { cwd: directoryWith(t) })
  t.is(status, 0)
  t.is(err, '')
  t.is(out, helpText())
})

test('--version prints the version of the package and exits 0', async (t) => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(manifest) as { version: string }
  const { status, out } = await monoceros(['--version'], { cwd: directoryWith(t) })
  t.is(status, 0)
  t.is(out, `monoceros (version ${version})\n`)
})

test('an unknown flag exits 2', async (t) => {
  refused(
    t,
    await monoceros(['--wokers', '4'], { cwd: directoryWith(t) }),
    2,
    /did you mean --workers\?/,
  )
})

test('an invalid value of a flag exits 1', async (t) => {
  refused(
    t,
    await monoceros(['-w', 'x', 'app.js'], { cwd: directoryWith(t) }),
    1,
    /--workers must be/,
  )
})

test('a setting that is not supported yet exits 1 and is named', async (t) => {
  const outcome = await monoceros(['--dirty-threads', '2', 'app.js'], { cwd: directoryWith(t) })
  refused(t, outcome, 1, /^monoceros: error: --dirty-threads is not supported yet/)
})

test('a command line without an application exits 1', async (t) => {
  refused(t, await monoceros([], { cwd: directoryWith(t) }), 1, /no application is given/)
})

test('a config file with a syntax error exits 1 and names the line', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.mjs': 'export default {\n  workers: 3,\n  timeout: {{\n}\n',
    'monoceros.config.cjs': 'module.exports = {\n  workers: 3,\n  timeout: {{\n}\n',
  })
  refused(
    t,
    await monoceros(['-c', 'monoceros.config.cjs', 'a.js'], { cwd }),
    1,
    /SyntaxError.*line 3\)/,
  )
})

test('--print-config prints every setting with its origin', async (t) => {
  const cwd = directoryWith(t, { 'monoceros.config.json': '{"timeout": 5}' })
  const args = ['--print-config', '-w', '3']
  usesStart(t, { args, env: {}, directory: cwd })
  const { status, out, err } = await monoceros(args, { cwd })
  t.is(status, 1)
  t.regex(err, /no application is given/)
  t.regex(out, /^timeout += 5 {2}# monoceros\.config\.json$/m)
  t.regex(out, /^workers += 3 {2}# command line$/m)
  t.regex(out, /^chdir += ".*" {2}# default$/m)
  t.true(out.includes(` = "${cwd}"  # default`))
})

const APPLICATION = 'export default (req, res) => res.end()\n'

test('--check-config loads the application and exits 0', async (t) => {
  const cwd = directoryWith(t, { 'app.mjs': APPLICATION })
  const args = ['--check-config', '--threads', '2', './app.mjs']
  usesStart(t, { args, env: {}, directory: cwd })
  const outcome = await monoceros(args, { cwd })
  t.is(outcome.status, 0)
  t.is(outcome.out, 'The settings are valid, and the application ./app.mjs loads.\n')
  t.regex(outcome.err, /^monoceros: warning: --threads has no effect/)
})

test('--print-config prints the settings, then checks the application', async (t) => {
  const cwd = directoryWith(t, { 'app.mjs': APPLICATION })
  const { status, out } = await monoceros(['--print-config', './app.mjs'], { cwd })
  t.is(status, 0)
  t.regex(out, /^app += "\.\/app\.mjs" {2}# command line$/m)
  t.notRegex(out, /The settings are valid/)
})

// The statuses of a start.
for (const [what, file, expected, text] of [
  ['an application that throws', './throws.mjs', 3, /no such luck/],
  ['an application that is missing', './nope.mjs', 3, /nope\.mjs/],
  ['an export that is missing', './app.mjs:nope', 4, /"nope"/],
] as const) {
  test(`--check-config exits ${expected} for ${what}`, async (t) => {
    const cwd = directoryWith(t, {
      'app.mjs': APPLICATION,
      'throws.mjs': 'throw new Error("no such luck")',
    })
    const { status, out, err } = await monoceros(['--check-config', file], { cwd })
    t.is(status, expected)
    t.is(out, '')
    t.regex(err, text)
  })
}

for (const argument of ['--help', '--version', '--print-config']) {
  test(`${argument} with a closed output pipe is not an error`, async (t) => {
    const cwd = directoryWith(t)
    const { status, err } = await monoceros([argument], { cwd, closesOutput: true })
    t.is(status, argument === '--print-config' ? 1 : 0)
    t.notRegex(err, /EPIPE/)
  })
}
