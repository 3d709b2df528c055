// Each command of the control socket, on the real program.

import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'

import { COMMAND_NAMES } from '../../ts/control/commands.ts'
import type {
  ListenerReport,
  SettingReport,
  StatsReport,
  StatusReport,
  WorkerReport,
} from '../../ts/control/reports.ts'
import { appSource, get, isAlive, startProgram, until, WITHOUT_ADDON } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { temporaryDirectory } from '../temporary.ts'
import { MAIN, runMonoceros, startControlled } from './ctl.ts'

const COLUMNS = 80

test.serial('status, workers, stats, config, listeners and help describe the server', async (t) => {
  const { program, ask, ctl } = await startControlled(t, { workers: 2, args: ['-n', 'shop'] })
  await program.get()
  const status: StatusReport = await ask('status')
  t.like(status, { pid: program.pid, name: 'shop', phase: 'serving', generation: 1 })
  t.like(status.workers, { wanted: 2, serving: 2, booting: 0, stopping: 0 })
  const workers: WorkerReport[] = await ask('workers')
  t.deepEqual(workers.map(({ pid }) => pid).sort(), program.workers().sort())
  t.true(workers.every(({ state }) => state === 'serving'))
  await until(async () => {
    const stats: StatsReport = await ask('stats')
    return stats.requests >= 1 && (stats.totals === null || stats.totals.status['2xx'] >= 1)
  }, 'the request to be counted')
  const settings: SettingReport[] = await ask('config workers')
  t.deepEqual(settings, [{ name: 'workers', value: '2', origin: 'command line' }])
  const [listener]: ListenerReport[] = await ask('listeners')
  t.is(listener?.address, `http://127.0.0.1:${program.port}`)
  const { out } = await ctl('help')
  t.deepEqual(
    out.split('\n').flatMap((line) => line.split(' ')[0] || []),
    [...COMMAND_NAMES],
  )
  for (const command of ['status', 'workers', 'stats', 'listeners', 'help', 'list']) {
    const text = (await ctl(command)).out
    const longest = Math.max(...text.split('\n').map((line) => line.length))
    t.true(longest <= COLUMNS || command === 'list', `${command}: ${longest} columns`)
    t.false(text.includes('\u001b'), 'no colour without a terminal')
  }
})

test.serial('a command that is wrong is refused with its reason and status 1', async (t) => {
  const { ctl } = await startControlled(t)
  const refused = async (words: string, reason: RegExp) => {
    const { status, out, err } = await ctl(words)
    t.is(status, 1, words)
    t.is(out, '')
    t.regex(err, reason)
  }
  await refused('relaod', /unknown command "relaod"; did you mean "reload"\?/)
  await refused('scale', /scale: one argument is needed: N, \+N or -N/)
  await refused('scale 0', /0 workers are not between 1 and \d+/)
  await refused('scale 900', /900 workers are not between 1 and \d+/)
  await refused('worker kill 1', /no worker has the pid 1; the workers are \d+/)
  await refused('config wokers', /unknown setting "wokers"; did you mean "workers"\?/)
  await refused('shutdown now', /the only argument allowed is quick/)
  const { status, out } = await ctl('-j scale 0')
  t.is(status, 1)
  t.regex(JSON.parse(out).error, /are not between/)
})

test.serial('reload answers when all workers are new, or with why it failed', async (t) => {
  const { program, ctl, ask } = await startControlled(t, { workers: 2 })
  const old = program.workers()
  program.write('app.cjs', appSource('2'))
  t.like(await ctl('reload'), { status: 0, out: 'reload complete: all workers are new\n' })
  t.is((await program.who()).version, '2')
  await until(() => old.every((pid) => !isAlive(pid)), 'the old workers to exit')
  program.write('app.cjs', 'throw new Error("broken on purpose")')
  const failed = await ctl('reload')
  t.is(failed.status, 1)
  t.regex(failed.err, /reload failed; the old workers keep serving.*broken on purpose/s)
  t.is((await program.who()).version, '2')
  const { lastReload, generation }: StatusReport = await ask('status')
  t.deepEqual([lastReload, generation], ['failed', 2])
  t.regex(program.log, /Handling command: reload/)
})

test.serial('scale answers when the workers serve', async (t) => {
  const { program, ctl } = await startControlled(t)
  for (const [words, count] of [
    ['scale +2', 3],
    ['scale -1', 2],
    ['scale 1', 1],
  ] as const) {
    const { status, out } = await ctl(words)
    t.is(status, 0)
    t.is(out, `${count} ${count === 1 ? 'worker serves' : 'workers serve'}\n`)
    await until(() => program.workers().length === count, `${count} workers`)
  }
})

test.serial('worker kill answers when a successor serves', async (t) => {
  const { program, ctl } = await startControlled(t)
  const [worker = 0] = program.workers()
  const { status, out } = await ctl(`worker kill ${worker}`)
  t.is(status, 0)
  t.is(out, `worker ${worker} has exited, 1 worker serves\n`)
  t.not((await program.who()).pid, worker)
})

test.serial('reopen opens a log file that was moved, and reports an error', async (t) => {
  const { program, ctl } = await startControlled(t, {
    args: ['--access-logfile', 'access.log'],
  })
  const path = join(program.directory, 'access.log')
  await until(() => existsSync(path), 'the log')
  renameSync(path, `${path}.1`)
  t.is((await ctl('reopen')).out, 'the log files are open again\n')
  await until(() => existsSync(path), 'the new log')
})

test.serial('logs prints what the arbiter has logged, and -f follows a file', async (t) => {
  const plain = await startControlled(t)
  t.regex((await plain.ctl('logs')).out, /Starting monoceros .*\n.*Listening at/s)
  const runtime = temporaryDirectory('control')
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: ['app.cjs', '-b', '127.0.0.1:0', '--error-logfile', 'error.log', '-w', '1'],
    env: { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  const tail = await until(async () => {
    const { out } = await runMonoceros(['ctl', 'logs'], { runtime })
    return out.includes('Ready: 1 worker serves') ? out : undefined
  }, 'the log')
  t.regex(tail, /Booting worker/)
  const follower = spawn(process.execPath, [MAIN, 'ctl', 'logs', '-f'], {
    env: { ...process.env, NODE_OPTIONS: '', XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  t.teardown(() => follower.kill())
  let followed = ''
  follower.stdout.setEncoding('utf8').on('data', (text: string) => {
    followed += text
  })
  await until(() => followed.includes('Ready: 1 worker serves'), 'the end of the log')
  renameSync(join(program.directory, 'error.log'), join(program.directory, 'error.log.1'))
  program.signal('SIGUSR1')
  await until(() => existsSync(join(program.directory, 'error.log')), 'the new log')
  program.signal('SIGTTIN')
  await until(() => followed.includes('Handling signal: ttin'), 'a line of the new file')
})

test.serial('shutdown finishes requests and answers at the end; the file is removed', async (t) => {
  const { program, ctl, sockets } = await startControlled(t)
  const answer = program.who('/held/300')
  await program.line(/A request is held/)
  const stopped = ctl('shutdown')
  t.is((await answer).version, '1')
  t.like(await stopped, { status: 0, out: 'the server has stopped\n' })
  t.is(await program.exited, 0)
  t.deepEqual(sockets(), [])
})

test.serial('shutdown quick does not wait for requests', async (t) => {
  const { program, ctl } = await startControlled(t)
  const cut = t.throwsAsync(program.get('/held/20000'))
  await program.line(/A request is held/)
  t.is((await ctl('shutdown quick')).out, 'the server has stopped\n')
  t.is(await program.exited, 0)
  await cut
})

test.serial('an upgrade gives each arbiter its socket, and only the new one stays', async (t) => {
  const { program, ctl, sockets, runtime } = await startControlled(t)
  const path = join(runtime, 'fixed.sock')
  const second = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: [
      ...['app.cjs', '-b', '127.0.0.1:0', '-w', '1', '--log-level', 'debug'],
      ...['--control-socket', path],
    ],
  })
  await second.ready(1)
  for (const one of [program, second]) {
    one.signal('SIGUSR2')
    await one.line(/is serving beside this one/)
  }
  t.is(sockets().length, 2)
  const several = await ctl('status')
  t.is(several.status, 1)
  t.regex(several.err, /several instances are running. Choose one with -i PID/)
  const pidAt = async (socket: string) => {
    const { out } = await runMonoceros(['ctl', '-j', '-s', socket, 'status'], { runtime })
    return JSON.parse(out).pid
  }
  t.is(await pidAt(path), second.pid)
  t.not(await pidAt(`${path}.2`), second.pid)
  const refused = await ctl(`-i ${program.pid} reload`)
  t.regex(refused.err, /the new arbiter \(pid: \d+\) is running; stop it or this one first/)
  t.is((await ctl(`-i ${program.pid} shutdown`)).status, 0)
  second.signal('SIGTERM')
  await second.exited
  await until(() => !existsSync(`${path}.2`), 'the new arbiter to take the path')
  t.not(await pidAt(path), second.pid)
  t.is((await ctl('shutdown')).status, 0)
  t.is((await runMonoceros(['ctl', '-s', path, 'shutdown'], { runtime })).status, 0)
  t.false(existsSync(path))
})

test.serial('the file of a dead instance is replaced, that of a live one never', async (t) => {
  const { program, sockets, runtime } = await startControlled(t)
  const path = join(runtime, 'monoceros', `${program.pid}.sock`)
  t.is(statSync(path).mode & 0o777, 0o600)
  t.is(statSync(join(runtime, 'monoceros')).mode & 0o777, 0o700)
  const options = (socket: string) => ({
    files: { 'app.cjs': appSource('1') },
    args: [
      ...['app.cjs', '-b', '127.0.0.1:0', '-w', '1', '--log-level', 'debug'],
      ...['--control-socket', socket, '--control-socket-mode', '0660'],
    ],
    env: { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  const refused = startProgram(t, options(path))
  t.is(await refused.exited, 1)
  t.regex(refused.log, /control_socket .*\.sock cannot be used: another process listens there/)
  program.signal('SIGKILL')
  await program.exited
  await until(() => sockets().length === 1, 'the stale file')
  const next = await startProgram(t, options(path)).ready(1)
  t.is(statSync(path).mode & 0o777, 0o660)
  t.true(next.log.includes(`[DEBUG] Control socket: ${path}\n`))
  const { out } = await runMonoceros(['ctl', '-j', '-s', path, 'status'], { runtime })
  t.is(JSON.parse(out).pid, next.pid)
  writeFileSync(join(runtime, 'a-file'), '')
  const file = startProgram(t, options(join(runtime, 'a-file')))
  t.is(await file.exited, 1)
  t.regex(file.log, /cannot be used: the file is not a socket/)
})

// Only root can start a process of another user.
const testRoot = needs('root', process.getuid?.() === 0)

testRoot('another user cannot connect, wherever the file is', async (t) => {
  const path = join(temporaryDirectory('control'), 'open.sock')
  chmodSync(dirname(path), 0o777)
  await startControlled(t, { args: ['--control-socket', path] })
  const script = `require('node:net').connect(${JSON.stringify(path)})
    .on('connect', () => process.stdout.write('connected', () => process.exit()))
    .on('error', ({ code }) => process.stdout.write(code))`
  const options = { uid: 65_534, cwd: '/', encoding: 'utf8' } as const
  const connectAsOther = () => execFileSync(process.execPath, ['-e', script], options)
  t.is(connectAsOther(), 'EACCES')
  // The mode of the file refuses the user, and nothing else does.
  chmodSync(path, 0o666)
  t.is(connectAsOther(), 'connected')
})

test.serial('without the addon, commands work and totals are not known', async (t) => {
  const { files, env } = WITHOUT_ADDON
  const { ctl, ask } = await startControlled(t, {
    files: { ...files, 'app.cjs': appSource('1') },
    env,
  })
  const stats: StatsReport = await ask('stats')
  t.is(stats.totals, null)
  t.regex((await ctl('stats')).out, /^requests +\d+, /m)
  t.is((await ctl('scale 2')).status, 0)
})

test.serial('a suspended arbiter is reported', async (t) => {
  const { program, ctl } = await startControlled(t)
  program.signal('SIGSTOP')
  const { status, err } = await ctl('status')
  program.signal('SIGCONT')
  t.is(status, 1)
  t.regex(err, /has not answered within 2 s; is it suspended\?/)
  t.is((await ctl('status')).status, 0)
})

test.serial('a reload moves the socket to another path, or turns it off', async (t) => {
  const config = (more: string) => `export default { bind: '127.0.0.1:0', workers: 1, ${more} }`
  const { program, sockets, ctl } = await startControlled(t, {
    files: { 'app.cjs': appSource('1'), 'monoceros.config.mjs': config('') },
    args: [],
  })
  program.write('monoceros.config.mjs', config("control_socket: 'here.sock'"))
  t.is((await ctl('reload')).status, 0)
  const path = join(program.directory, 'here.sock')
  await until(() => existsSync(path) && sockets().length === 0, 'the socket to move')
  program.write('monoceros.config.mjs', config('control_socket_disable: true'))
  program.signal('SIGHUP')
  await until(() => !existsSync(path), 'the socket to close')
  t.is((await get({ port: program.port, path: '/' })).status, 200)
})

test.serial('no control socket: a place that cannot be written, or by request', async (t) => {
  const runtime = temporaryDirectory('control')
  writeFileSync(join(runtime, 'file'), '')
  const start = (...more: string[]) =>
    startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: ['app.cjs', '-b', '127.0.0.1:0', '-w', '1', '--log-level', 'debug', ...more],
      env: { XDG_RUNTIME_DIR: join(runtime, 'file'), TMPDIR: join(runtime, 'file') },
    }).ready(1)
  const quiet = await start()
  t.regex(quiet.log, /\[DEBUG\] No control socket: .*(ENOTDIR|EEXIST)/)
  t.notRegex((await start('--no-control-socket')).log, /ontrol socket/)
  const { status, err } = await runMonoceros(['ctl', 'status'], { runtime })
  t.is(status, 1)
  t.regex(err, /no running instance was found in .*monoceros and .*Name its socket with -s PATH/)
})
