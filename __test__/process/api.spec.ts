// The server inside a program: the example of docs/api.md, and which settings override which.

import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { defineConfig } from '../../ts/index.ts'
import { appSource, isAlive, type Program, startProgram, until } from './program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PAGE = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')

/** The block of the page that begins like this. */
function example(start: string): string {
  const block = [...PAGE.matchAll(/```\w+\n([\s\S]*?)```/g)].find(([, text]) =>
    text?.startsWith(start),
  )
  return block?.[1] ?? ''
}

/** A program in a directory that has the package installed. */
function started(
  t: ExecutionContext,
  source: string,
  options: {
    flags?: string[]
    args?: string[]
    env?: Record<string, string>
    files?: Record<string, string>
    command?: string[]
  } = {},
): Program {
  return startProgram(t, {
    files: { 'app.js': appSource('1'), 'serve.mjs': source, ...options.files },
    entry: 'serve.mjs',
    flags: options.flags ?? [],
    args: options.args ?? [],
    env: options.env ?? {},
    command: options.command ?? [],
    prepare(directory) {
      mkdirSync(join(directory, 'node_modules'))
      symlinkSync(ROOT, join(directory, 'node_modules/monoceros'))
    },
  })
}

test.serial('the example of the page serves until TERM, and exits with 0', async (t) => {
  const source = example('// serve.mjs').replace(':8000', ':0')
  const program = started(t, source, { env: { MONOCEROS_LOGLEVEL: 'debug' } })
  await program.ready(2)
  t.regex(program.log, /serving at http:\/\/127\.0\.0\.1:\d+/)
  t.is((await program.who()).version, '1')
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

test.serial('a setting that cannot be used rejects with a code and an exit status', async (t) => {
  const source = example('// serve.mjs').replace('workers: 2', 'workers: "many"')
  const program = started(t, source)
  t.is(await program.exited, 1)
  await program.line(/^serve: workers in run\(\) must be an integer/)
})

const PRINTS = `import { run } from 'monoceros'
  process.exitCode = await run(
    {
      app: './app.js', bind: '127.0.0.1:0', workers: 1, loglevel: 'debug',
      timeout: 7, keepalive: 7, backlog: 7,
    },
    { argv: process.argv.slice(2) },
  )`

test.serial('command line, environment, named config file, program: in this order', async (t) => {
  const program = started(t, PRINTS, {
    args: ['--config', 'x.json', '--keep-alive', '5', '-e', 'GREETING=of the command line'],
    env: { MONOCEROS_TIMEOUT: '6' },
    files: {
      'x.json':
        '{ "timeout": 9, "keepalive": 9, "backlog": 9, "when_ready": "./hooks.mjs:report" }',
      'hooks.mjs': `export function report({ log, cfg }) {
        log.info(['settings', cfg.timeout, cfg.keepalive, cfg.backlog, cfg.workers].join(' ')) }`,
    },
  })
  await program.ready(1)
  t.regex(program.log, /settings 6 5 9 1/)
  t.is((await program.who()).env, 'of the command line')
})

test.serial('with --version it prints the version and does not serve', async (t) => {
  const program = started(t, PRINTS, {
    args: ['--version'],
    command: ['sh', '-c', 'exec "$@" >&2', 'sh'],
  })
  t.is(await program.exited, 0)
  t.regex(program.log, /^monoceros \(version [\d.]+\)\n$/)
})

test.serial('a program that is given as text is not run by its workers', async (t) => {
  const program = started(t, '', { flags: ['--input-type=module', '-e', PRINTS] })
  await program.ready(1)
  t.is((await program.who()).version, '1')
  t.is(program.log.match(/Starting monoceros/g)?.length, 1)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

test.serial('no config file is looked for, and USR2 starts the program again', async (t) => {
  const program = started(t, PRINTS, { files: { 'monoceros.config.json': '{ "workers": 3 }' } })
  await program.ready(1)
  program.signal('SIGUSR2')
  const [, successor] = await program.line(/Listening at: .* \((\d+)\)/)
  await program.line(/Worker ready/)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  t.is((await program.who()).version, '1')
  process.kill(Number(successor), 'SIGTERM')
  await until(() => !isAlive(Number(successor)), 'the end of the new arbiter')
})

test('defineConfig returns what it is given', (t) => {
  const config = { workers: 3 }
  t.is(defineConfig(config), config)
})
