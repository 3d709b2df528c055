// Every block of docs/deploy.md, unchanged but for ports, and the example units of
// systemd.

import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import { shellWords } from '../../ts/settings/shell-words.ts'
import { appSource, isAlive, type Program, startProgram, until } from '../process/program.ts'
import { needs, needsOtherUsers } from '../requirements.ts'
import { sectionsOf } from './sections.ts'

const execute = promisify(execFile)

const sections = new Map(sectionsOf('deploy.md').map(({ title, commands }) => [title, commands]))

function blockOf(title: string): readonly string[] {
  return sections.get(title) ?? []
}

/**
 * Runs a command of the page that starts the server; the ports are those that the system chooses.
 */
function start(t: ExecutionContext, command: string, more: readonly string[] = []): Program {
  const words = shellWords(command.replaceAll(/(?<= )(?:127\.0\.0\.1)?:\d+\b/g, '127.0.0.1:0'))
  return startProgram(t, {
    files: { 'app.js': appSource('1') },
    // Workers that are another user read the application.
    prepare: (directory) => chmodSync(directory, 0o755),
    args: [...words.slice(1), '--log-level', 'debug', ...more],
  })
}

function shell(program: Program, command: string): Promise<unknown> {
  return execute('sh', ['-c', command], { cwd: program.directory })
}

test('each block has a test', (t) => {
  const tested = [
    'In the foreground',
    'Upgrade without a restart',
    'Another user',
    'Logs and logrotate',
  ]
  const withBlocks = [...sections].filter(([, commands]) => commands.length > 0)
  t.deepEqual(
    withBlocks.map(([title]) => title),
    [...tested, 'A daemon'],
  )
})

test.serial('In the foreground', async (t) => {
  const program = await start(t, blockOf('In the foreground')[0] ?? '').ready(1)
  t.is((await program.get()).status, 200)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

const SERVE = 'monoceros app.js -w 1 -p web.pid -b 127.0.0.1:8000'

test.serial('Upgrade without a restart', async (t) => {
  const [upgrade = '', end = ''] = blockOf('Upgrade without a restart')
  const program = await start(t, SERVE).ready(1)
  await shell(program, upgrade)
  const [, newer = ''] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
  await program.line(/is serving beside this one/)
  await shell(program, end)
  t.is(await program.exited, 0)
  await until(() => program.log.includes('Master has been promoted.'), 'the promotion')
  t.is(readFileSync(join(program.directory, 'web.pid'), 'utf8').trim(), newer)
  t.is((await program.get()).status, 200)
  await shell(program, end)
  await until(() => !isAlive(Number(newer)), 'the end of the new arbiter')
})

test.serial('Upgrade without a restart, and back', async (t) => {
  const [upgrade = '', , rest = '', back = '', end = ''] = blockOf('Upgrade without a restart')
  const program = await start(t, SERVE).ready(1)
  await shell(program, upgrade)
  const [, newer = ''] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
  await program.line(/is serving beside this one/)
  await shell(program, rest)
  await program.line(/Worker exiting/)
  await shell(program, back)
  await program.line(/Worker ready/)
  await shell(program, end)
  await program.line(/The new arbiter .* exited/)
  t.false(isAlive(Number(newer)))
  t.is((await program.get()).status, 200)
})

needsOtherUsers()('Another user', async (t) => {
  const [command = ''] = blockOf('Another user')
  const program = await start(t, command.replace('/run/web/', '')).ready(1)
  const [worker = 0] = program.workers()
  t.not(Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${worker}/status`, 'utf8'))?.[1]), 0)
  t.is((await program.get()).status, 200)
  t.true(existsSync(join(program.directory, 'web.sock')))
})

test.serial('Logs and logrotate', async (t) => {
  const block = blockOf('Logs and logrotate').join('\n')
  const postrotate = /postrotate\n(.*?)\nendscript/s.exec(block)?.[1] ?? ''
  const logs = ['--error-logfile', 'error.log', '--access-logfile', 'access.log']
  const program = start(t, SERVE, logs)
  const log = (name: string) => readFileSync(join(program.directory, name), 'utf8')
  await until(() => existsSync(join(program.directory, 'error.log')), 'the log')
  await until(() => log('error.log').includes('Worker ready'), 'the worker')
  for (const name of ['error.log', 'access.log']) {
    renameSync(join(program.directory, name), join(program.directory, `${name}.1`))
  }
  await shell(program, postrotate.replace('/run/', ''))
  const files = () => readdirSync(program.directory)
  await until(() => files().includes('access.log') && files().includes('error.log'), 'new files')
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  t.regex(log('error.log'), /Shutting down: Master/)
})

test.serial('A daemon', async (t) => {
  const [command = ''] = blockOf('A daemon')
  const program = start(t, `${command} -b 127.0.0.1:8000`)
  t.is(await program.exited, 0)
  const pid = Number(readFileSync(join(program.directory, 'web.pid'), 'utf8'))
  t.regex(readFileSync(join(program.directory, 'web.log'), 'utf8'), /Worker ready/)
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid), 'the end of the daemon')
})

const UNITS = new URL('../../examples/systemd/', import.meta.url)
const LINE = /^(?:#.*|\[\w+\]|[A-Z]\w*=.*|)$/

test('the units of systemd have lines that it can read', (t) => {
  for (const name of readdirSync(UNITS)) {
    const lines = readFileSync(new URL(name, UNITS), 'utf8').split('\n')
    t.deepEqual(
      lines.filter((line) => !LINE.test(line)),
      [],
      name,
    )
  }
})

const testSystemd = needs('systemd-analyze', existsSync('/usr/bin/systemd-analyze'), test)

// Where there is no systemd, its check of the units is not available.
testSystemd('systemd finds nothing wrong with the units', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-units-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const units = readdirSync(UNITS).map((name) => {
    const path = join(directory, name)
    const text = readFileSync(new URL(name, UNITS), 'utf8')
    // What is not on this machine.
    writeFileSync(
      path,
      text.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true').replace(/^User=.*/m, ''),
    )
    return path
  })
  const { stdout, stderr } = await execute('systemd-analyze', ['verify', '--man=no', ...units])
  const reported = `${stdout}${stderr}`.split('\n').filter((line) => line.includes(directory))
  t.deepEqual(reported, [])
})
