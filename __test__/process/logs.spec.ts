// The logs from outside: rotation by rename and USR1 under load, and disks that take no more.

import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import test from 'ava'

import { needs, needsAddon } from '../requirements.ts'
import { startLoad } from './load.ts'
import {
  appSource,
  ENGINES,
  get,
  type Program,
  serveArgs,
  someoneListens,
  startProgram,
  until,
} from './program.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: rotation by USR1 loses no line of either log`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: [
        ...serveArgs(engine, '-w', '2'),
        ...['--access-logfile', 'access.log', '--access-logformat', '%(s)s %(U)s'],
        ...['--error-logfile', 'error.log'],
      ],
    })
    const port = await portOf(program)
    const stop = startLoad({ port, keepAlive: 8, fresh: 2, path: '/logged' })
    for (const number of [1, 2, 3]) {
      await until(() => lines(program, 'access.log').length > 50, 'lines to rotate')
      for (const name of ['access', 'error']) {
        renameSync(at(program, `${name}.log`), at(program, `${name}.${number}`))
      }
      program.signal('SIGUSR1')
      await until(() => existsSync(at(program, 'access.log')), 'the new file')
    }
    const { answered, lost } = await stop()
    t.deepEqual(lost, [])
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    const all = ['access.1', 'access.2', 'access.3', 'access.log'].flatMap((name) =>
      lines(program, name),
    )
    t.is(all.filter((line) => line === '200 /logged').length, answered)
    t.is(all.length, answered)
    const errors = readdirSync(program.directory)
      .filter((name) => name.startsWith('error.'))
      .flatMap((name) => lines(program, name))
    t.is(errors.filter((line) => line.includes('Handling signal: usr1')).length, 3)
    t.true(errors.some((line) => line.includes('Shutting down: Master')))
  })

  test.serial(`${engine}: USR1 to a worker reopens its logs alone`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: serveArgs(engine, '-w', '1', '--access-logfile', 'access.log'),
    })
    await program.ready(1)
    renameSync(at(program, 'access.log'), at(program, 'access.1'))
    for (const pid of program.workers()) process.kill(pid, 'SIGUSR1')
    await until(() => existsSync(at(program, 'access.log')), 'the new file')
    await program.get()
    await until(() => lines(program, 'access.log').length === 1, 'the line')
    t.is(lines(program, 'access.1').length, 0)
  })
}

for (const engine of ENGINES) {
  test.serial(`${engine}: a FIFO without a reader does not block the server`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      prepare: (directory) => {
        for (const name of ['access', 'error']) execFileSync('mkfifo', [join(directory, name)])
      },
      args: [
        ...['app.cjs', '-b', 'unix:a.sock', '--engine', engine, '-w', '1'],
        ...['--access-logfile', 'access', '--error-logfile', 'error'],
      ],
    })
    const isAnswered = () => answers(at(program, 'a.sock'))
    await until(isAnswered, 'an answer without a reader')
    for (const round of ['first', 'second']) {
      const [access, error] = ['access', 'error'].map((name) => new Reader(at(program, name)))
      await until(isAnswered, 'an answer')
      await until(() => access?.text.includes('" 200 '), `the access line of the ${round}`)
      program.signal('SIGHUP')
      await until(() => error?.text.includes('Reload complete'), `the line of the ${round} reload`)
      access?.close()
      error?.close()
      program.signal('SIGUSR1')
      await until(isAnswered, 'an answer when the readers have gone')
    }
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  })
}

for (const engine of ENGINES) {
  test.serial(`${engine}: a worker is replaced although its access log has gone`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      prepare: (directory) => mkdirSync(join(directory, 'logs')),
      args: serveArgs(engine, '-w', '1', '--access-logfile', 'logs/access'),
    })
    const { pid } = await (await program.ready(1)).who()
    rmSync(at(program, 'logs'), { recursive: true })
    process.kill(pid, 'SIGKILL')
    await program.line(/accesslog must be a file that can be appended to, got "logs\/access"/)
    await program.line(/Worker ready/)
    t.not((await program.who()).pid, pid)
    // Without a worker that served, it is an error.
    program.signal('SIGHUP')
    await program.line(/Reload failed; the old workers keep serving/)
    mkdirSync(at(program, 'logs'))
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    await program.get('/again')
    await until(() => lines(program, 'logs/access').length === 1, 'the line')
  })

  test.serial(`${engine}: USR1 opens the access log although the error log has gone`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      prepare: (directory) => mkdirSync(join(directory, 'logs')),
      args: [
        ...['app.cjs', '-b', 'unix:a.sock', '--engine', engine],
        ...['--access-logfile', 'access', '--error-logfile', 'logs/error'],
      ],
    })
    await until(() => answers(at(program, 'a.sock')), 'an answer')
    rmSync(at(program, 'logs'), { recursive: true })
    renameSync(at(program, 'access'), at(program, 'access.1'))
    program.signal('SIGUSR1')
    await until(() => existsSync(at(program, 'access')), 'the new file')
    t.true(await answers(at(program, 'a.sock')))
    await until(() => lines(program, 'access').length === 1, 'the line')
  })

  test.serial(`${engine}: a worker is replaced although its error log has gone`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      prepare: (directory) => mkdirSync(join(directory, 'logs')),
      args: [
        ...['app.cjs', '-b', 'unix:a.sock', '--engine', engine],
        ...['--error-logfile', 'logs/error'],
      ],
    })
    await until(() => answers(at(program, 'a.sock')), 'an answer')
    rmSync(at(program, 'logs'), { recursive: true })
    for (const pid of program.workers()) process.kill(pid, 'SIGKILL')
    await program.line(/errorlog must be a file that can be appended to, got ".*\/logs\/error"/)
    await until(() => answers(at(program, 'a.sock')), 'an answer of the successor')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  })
}

/** The reader of a FIFO, which does not wait for a writer. */
class Reader {
  readonly #fd: number
  readonly #timer: NodeJS.Timeout
  text = ''

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.#timer = setInterval(() => this.#read(), 20)
  }

  close(): void {
    clearInterval(this.#timer)
    closeSync(this.#fd)
  }

  #read(): void {
    const buffer = Buffer.alloc(65_536)
    try {
      this.text += buffer.toString('latin1', 0, readSync(this.#fd, buffer))
    } catch {
      // EAGAIN: nothing there yet.
    }
  }
}

/** Whether a unix socket answers within a second. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const request = http.get({ socketPath: path, timeout: 1_000, agent: false }, (response) => {
      response.resume()
      done(response.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => done(false))
  })
}

const FULL = '/dev/full'
const testFull = needs(FULL, existsSync(FULL))
// The engine on node:http drops lines without a word (docs/engines.md).
const testFullAccess = needsAddon(testFull)

testFullAccess(
  'a full disk for the access log is reported, and the server keeps running',
  async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: serveArgs('auto', '-w', '1', '--access-logfile', FULL),
    })
    await program.ready(1)
    t.is((await program.get()).status, 200)
    t.is((await program.get('/slow/500')).status, 200)
    await program.line(/the access log cannot be written/)
    t.is((await program.get()).status, 200)
  },
)

testFull(
  'a full disk for the error log is reported once, and the server keeps running',
  async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1'), 'config.json': '{}' },
      args: ['app.cjs', '-b', 'unix:a.sock', '--error-logfile', FULL],
    })
    await program.line(
      /the error log \/dev\/full cannot be written \(ENOSPC.*the server keeps running/,
    )
    await someoneListens({ path: at(program, 'a.sock') })
    t.is((await get({ socketPath: at(program, 'a.sock') })).status, 200)
    program.signal('SIGHUP')
    program.signal('SIGUSR1')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  },
)

function at(program: Program, name: string): string {
  return join(program.directory, name)
}

function lines(program: Program, name: string): string[] {
  if (!existsSync(at(program, name))) return []
  return readFileSync(at(program, name), 'utf8').split('\n').slice(0, -1)
}

async function portOf(program: Program): Promise<number> {
  const port = await until(() => {
    const log = lines(program, 'error.log')
    const ready = log.filter((line) => line.includes('Worker ready')).length === 2
    return ready ? /127\.0\.0\.1:(\d+)/.exec(log.join('\n'))?.[1] : undefined
  }, 'two workers in the log')
  return Number(port)
}
