// One test for each kind of failure, on the real command: the log lines, the exit status, and the
// workers that keep serving.

import { existsSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { needsAddon } from '../requirements.ts'
import {
  appSource,
  ENGINES,
  isAlive,
  type Program,
  serveArgs,
  startProgram,
  until,
} from './program.ts'

interface FailedStart {
  readonly files: Record<string, string>
  readonly args?: readonly string[]
  readonly exit: number
  readonly line: RegExp
}

/** Throws outside its own promise, once after a complete response. */
const FETCH_JOBS = `exports.fetch = (request) => {
  const { pathname } = new URL(request.url)
  const fail = () => { throw new Error(pathname) }
  if (pathname === '/tick' || pathname === '/both') process.nextTick(fail)
  if (pathname === '/job') queueMicrotask(fail)
  return pathname === '/tick' || pathname === '/job' ? new Promise(() => {}) : new Response('ok')
}`

// One message, with the application's own stack at most.
const failsToStart = test.macro(async (t: ExecutionContext, start: FailedStart) => {
  const args = [...(start.args ?? ['app.cjs']), '-b', '127.0.0.1:0', '-w', '2']
  const program = startProgram(t, { files: start.files, args })
  t.is(await program.exited, start.exit)
  await until(() => program.child.stderr?.readableEnded, 'the end of the log')
  t.regex(program.log, start.line)
  t.is(program.log.match(new RegExp(start.line, 'g'))?.length, 1, program.log)
  t.notRegex(program.log, /at .*\/(ts|dist)\//)
  t.notRegex(program.log, /node:internal/)
})

test.serial('an application that throws while loading: 3', failsToStart, {
  files: { 'app.cjs': 'function connect() { throw new Error("no database") }\nconnect()' },
  exit: 3,
  line: /app\.cjs failed while loading:\nError: no database\n {4}at connect \(.*app\.cjs:1/,
})

test.serial('an application with a syntax error: 3', failsToStart, {
  files: { 'app.mjs': 'export default (request) => {\n  return new Response(\n}' },
  args: ['app.mjs'],
  exit: 3,
  line: /application app\.mjs failed while loading:\n.*app\.mjs:3\n(.*\n)*?SyntaxError: /,
})

test.serial('a syntax error in an imported ES module names its file and line: 3', failsToStart, {
  files: {
    'app.mjs': "import './part.mjs'",
    'part.mjs': 'export const part = 1\nexport const = 2',
  },
  args: ['app.mjs'],
  exit: 3,
  line: /application app\.mjs failed while loading:\n.*part\.mjs:2\nexport const = 2\n/,
})

test.serial('an application that is not there: 3', failsToStart, {
  files: {},
  args: ['missing.cjs'],
  exit: 3,
  line: /application missing\.cjs not found: there is no file .*missing\.cjs/,
})

test.serial('an application that ends the process while loading: 3', failsToStart, {
  files: { 'app.cjs': 'process.exit(7)' },
  exit: 3,
  line: /worker \(pid:\d+\) did not become ready: exited with code 7/,
})

test.serial('an application that rejects while loading: 3', failsToStart, {
  files: { 'app.cjs': 'Promise.reject(new Error("stray")); setInterval(() => {}, 1000)' },
  exit: 3,
  line: /application app\.cjs failed while loading:\nError: stray/,
})

test.serial('an application that is not ready within boot_timeout: 3', failsToStart, {
  files: { 'app.cjs': 'for (;;);' },
  args: ['app.cjs', '--boot-timeout', '1'],
  exit: 3,
  line: /worker \(pid:\d+\) was not ready within boot_timeout \(1s\)/,
})

test.serial('an export that is missing: 4', failsToStart, {
  files: { 'app.cjs': 'exports.other = (req, res) => res.end()' },
  args: ['app.cjs:api'],
  exit: 4,
  line: /\[ERROR\] .*"?api"?/,
})

test.serial('an export that is no application: 4', failsToStart, {
  files: { 'app.cjs': 'module.exports = 42' },
  exit: 4,
  line: /\[ERROR\] .*a number/,
})

for (const [file, source, exported] of [
  ['app.mjs', 'console.log', 'nothing'],
  ['app.mjs', 'export const app = (req, res) => res.end()', 'app'],
  ['app.cjs', 'const app = (req, res) => res.end()', 'nothing'],
] as const) {
  test.serial(`${file} that exports ${exported} and never listens: 4`, failsToStart, {
    files: { [file]: source },
    args: [file],
    exit: 4,
    line: new RegExp(`has no default export and does not call listen.*exports ${exported}\\. Set`),
  })
}

test.serial('a module that prints and never listens: 4', failsToStart, {
  files: { 'app.cjs': `console.error('hello')` },
  exit: 4,
  line: /App failed to load/,
})

test.serial('a program that starts workers by node:cluster: 4', failsToStart, {
  files: {
    'app.cjs': `const cluster = require('node:cluster')
cluster.setupPrimary({ exec: './server.js' })
cluster.fork()`,
  },
  exit: 4,
  line: /\[ERROR\] the application starts its own workers with node:cluster/,
})

for (const engine of ENGINES) {
  test.serial(`${engine}: an access log that cannot be opened: 1`, failsToStart, {
    files: { 'app.cjs': appSource('1') },
    args: ['app.cjs', '--engine', engine, '--access-logfile', 'nowhere/access.log'],
    exit: 1,
    line: /accesslog must be a file that can be appended to, got "nowhere\/access\.log" \(.*ENOENT/,
  })
}

test.serial('a worker_class that is not there, or no function: 1', async (t) => {
  const files = { 'app.cjs': appSource('1'), 'adapter.cjs': 'module.exports = 5' }
  for (const [module, line] of [
    ['./missing.cjs', /got "\.\/missing\.cjs": Error \[ERR_MODULE_NOT_FOUND\]/],
    ['./adapter.cjs', /got "\.\/adapter\.cjs": that is a number\./],
  ] as const) {
    const program = startProgram(t, { files, args: serveArgs('auto', '-k', module) })
    t.is(await program.exited, 1)
    await program.line(line)
  }
})

test.serial('a log that is broken at HUP is named, and the old workers serve on', async (t) => {
  const config = (more: object) =>
    JSON.stringify({ app: './app.cjs', bind: ['127.0.0.1:0'], loglevel: 'debug', ...more })
  const logger = 'export default class { constructor() { throw new Error("no log") } log() {} }'
  const program = startProgram(t, {
    files: {
      'app.cjs': appSource('1'),
      'logger.mjs': logger,
      'monoceros.config.json': config({}),
    },
  })
  await program.ready(1)
  const { pid } = await program.who()
  for (const [broken, line] of [
    [{ errorlog: 'nowhere/error.log' }, /errorlog must be a file that can be appended to/],
    [{ accesslog: 'nowhere/access.log' }, /accesslog must be a file that can be appended to/],
    [
      { logger_class: './logger.mjs' },
      /logger_class must be .*, got "\.\/logger\.mjs": Error: no log/,
    ],
  ] as const) {
    program.write('monoceros.config.json', config(broken))
    program.signal('SIGHUP')
    await program.line(line)
    await program.line(/Reload failed; the old workers keep serving/)
    t.is((await program.who()).pid, pid)
  }
  t.notRegex(program.log, /at .*\/(ts|dist)\//)
  t.notRegex(program.log, /node:internal/)
})

test.serial(
  'signals while the application is checked wait, and TERM ends the check: 0',
  async (t) => {
    const source = `require('node:fs').writeFileSync('loading', ''); for (;;);`
    const args = ['app.cjs', '-b', '127.0.0.1:0', '--preload']
    const program = startProgram(t, { files: { 'app.cjs': source }, args })
    await until(() => existsSync(join(program.directory, 'loading')), 'the application')
    const [check = 0] = program.workers()
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGTTIN', 'SIGTERM'] as const) {
      program.signal(signal)
    }
    t.is(await program.exited, 0)
    await until(() => !isAlive(check), 'the end of the check')
  },
)

for (const engine of ENGINES) {
  test.serial(`${engine}: a killed worker is replaced at once`, async (t) => {
    const program = await started(t, engine, '-w', '2')
    const [victim = 0] = program.workers()
    process.kill(victim, 'SIGKILL')
    await program.line(
      new RegExp(`Worker \\(pid:${victim}\\) was sent SIGKILL! Perhaps out of memory`),
    )
    await program.line(/Worker ready/)
    t.is(program.workers().length, 2)
    t.notRegex(program.log, /exit too soon/)
  })

  test.serial(
    `${engine}: workers that end by themselves are replaced after growing pauses`,
    async (t) => {
      const program = await started(t, engine, '-w', '1')
      for (const pause of ['1s', '2s']) {
        await t.throwsAsync(program.get('/exit/9'))
        await program.line(/Worker \(pid:\d+\) exited with code 9/)
        await program.line(new RegExp(`the next one starts in ${pause}`))
        await program.line(/Worker ready/)
      }
      t.is((await program.who()).version, '1')
    },
  )

  test.serial(`${engine}: a blocked event loop is ended after timeout and replaced`, async (t) => {
    const program = await started(t, engine, '-w', '1', '-t', '2')
    const blocked = t.throwsAsync(program.get('/block/60000'))
    await program.line(/WORKER TIMEOUT \(pid:\d+\): silent for .*s > timeout 2s/)
    await blocked
    await program.line(/Worker ready/)
    t.is((await program.who()).version, '1')
  })

  test.serial(`${engine}: a slow answer is no blocked event loop`, async (t) => {
    const program = await started(t, engine, '-w', '1', '-t', '1')
    t.is((await program.who('/slow/2500')).version, '1')
    t.notRegex(program.log, /WORKER TIMEOUT/)
  })

  test.serial(
    `${engine}: a handler that throws or rejects gets 500, and the worker keeps serving`,
    async (t) => {
      const program = await started(t, engine, '-w', '1', '--on-uncaught', 'continue')
      const { pid } = await program.who()
      t.is((await program.get('/throw')).status, 500)
      await program.line(/Uncaught error in the application\nError: thrown by a handler/)
      t.is((await program.get('/reject')).status, 500)
      await program.line(/Unhandled rejection in the application\nError: rejected by a handler/)
      t.is((await program.who()).pid, pid)
    },
  )

  test.serial(`${engine}: what cannot be shown answers 500 and is logged`, async (t) => {
    const source = `module.exports = (req, res) => {
      if (req.url !== '/') throw new Proxy({}, { getPrototypeOf() { throw new Error('not this') } })
      res.end(String(process.pid))
    }`
    const args = serveArgs(engine, '-w', '1', '--on-uncaught', 'continue')
    const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
    const { body: pid } = await program.get('/')
    t.is((await program.get('/thrown')).status, 500)
    await program.line(/Uncaught error in the application\nthrown: /)
    t.is((await program.get('/')).body, pid)
  })

  test.serial(`${engine}: what a job of a fetch function throws answers 500`, async (t) => {
    const args = serveArgs(engine, '-w', '1', '--on-uncaught', 'continue')
    const program = await startProgram(t, { files: { 'app.cjs': FETCH_JOBS }, args }).ready(1)
    for (const path of ['/tick', '/job']) {
      t.is((await program.get(path)).status, 500, path)
      await program.line(new RegExp(`Uncaught error in the application\\nError: ${path}`))
    }
    t.is((await program.get('/both')).status, 200)
    await program.line(/Uncaught error in the application\nError: \/both/)
    t.is((await program.get('/')).status, 200)
  })

  test.serial(`${engine}: after an uncaught error a successor comes first`, async (t) => {
    const program = await started(t, engine, '-w', '1')
    const { pid } = await program.who()
    t.is((await program.get('/throw')).status, 500)
    await program.line(/Autorestarting worker \(pid:\d+\): uncaught error/)
    await program.line(/Worker ready/)
    await program.line(new RegExp(`Worker exiting \\(pid: ${pid}\\)`))
    t.not((await program.who()).pid, pid)
  })

  test.serial(`${engine}: on_uncaught "exit" ends the worker as node does`, async (t) => {
    const program = await started(t, engine, '-w', '1', '--on-uncaught', 'exit')
    t.is((await program.get('/throw')).status, 500)
    await program.line(/Uncaught error in the application\nError: thrown by a handler/)
    await program.line(/Worker \(pid:\d+\) exited with code 1/)
    await program.line(/Worker ready/)
    t.is((await program.who()).version, '1')
  })

  test.serial(`${engine}: the program's own listener handles uncaught errors`, async (t) => {
    const source = `process.on('uncaughtException', (error) => console.error('own:', error.message))
      ${appSource('1')}`
    const args = serveArgs(engine, '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
    program.get('/throw').catch(() => {})
    await program.line(/own: thrown by a handler/)
    program.get('/reject').catch(() => {})
    await program.line(/own: rejected by a handler/)
    t.notRegex(program.log, /in the application/)
  })

  test.serial(
    `${engine}: max_requests replaces a worker once its successor is ready`,
    async (t) => {
      const program = await started(t, engine, '-w', '1', '--max-requests', '20')
      const { pid } = await program.who()
      for (let count = 0; count < 25; count += 1) await program.who()
      await program.line(/Autorestarting worker \(pid:\d+\): \d+ requests >= max_requests 20/)
      await program.line(/Worker ready/)
      await program.line(new RegExp(`Worker exiting \\(pid: ${pid}\\)`))
      t.not((await program.who()).pid, pid)
    },
  )

  test.serial(
    `${engine}: the arbiter's death frees the port and ends all workers, a blocked one too`,
    async (t) => {
      const program = await started(t, engine, '-w', '2')
      const workers = program.workers()
      const isNative = engine === 'native'
      if (isNative) {
        program.get('/block/60000').catch(() => {})
        // Who is asked before the blocked worker is seen to be busy may be asked in vain.
        const title = () => readFileSync(`/proc/${program.pid}/cmdline`, 'utf8')
        await until(() => title().includes('1 in flight'), 'a busy worker')
      }
      await program.who()
      program.signal('SIGKILL')
      await program.exited
      const diedAt = Date.now()
      await until(() => canBind(program.port), 'the port')
      // The blocked worker runs for a while, longer than a busy machine delays this check.
      const isSoon = workers.some(isAlive) || Date.now() - diedAt < 1_000
      if (isNative) t.true(isSoon, 'the port is free before the workers exit')
      await until(() => !workers.some(isAlive), 'the workers to end')
      t.true(Date.now() - diedAt < 5_000)
    },
  )
}

const withAddon = needsAddon()

// Without the addon no thread can stop it.
withAddon("the arbiter's death ends a worker that is blocked in post_fork", async (t) => {
  const config = `import { writeFileSync } from 'node:fs'
    export default { post_fork() { writeFileSync('forked', ''); for (;;); } }`
  const files = { 'app.cjs': appSource('1'), 'monoceros.config.mjs': config }
  const program = startProgram(t, { files, args: serveArgs('auto', '-w', '1') })
  await until(() => existsSync(join(program.directory, 'forked')), 'the hook')
  const [worker = 0] = program.workers()
  program.signal('SIGKILL')
  await until(() => !isAlive(worker), 'the end of the worker')
  t.false(isAlive(worker))
})

test.serial('a script that listens late is waited for', async (t) => {
  const source = `const http = require('node:http')
    setTimeout(() => http.createServer((req, res) => res.end('late')).listen(3000), 1500)
    process.send('ready')`
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
  t.is((await program.get()).body, 'late')
})

async function started(t: ExecutionContext, engine: string, ...more: string[]): Promise<Program> {
  const args = serveArgs(engine, ...more)
  return startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(
    Number(more[more.indexOf('-w') + 1]),
  )
}

function canBind(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = net.createServer()
    server.on('error', () => done(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () =>
      server.close(() => done(true)),
    )
  })
}
