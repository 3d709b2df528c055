// Hooks of a real config file, in their processes and in their order, and the application's own
// startup and shutdown.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { HOOK_NAMES } from '../../ts/hooks/table.ts'
import {
  appSource,
  ENGINES,
  isAlive,
  type Program,
  serveArgs,
  startProgram,
  until,
} from './program.ts'

// Each hook notes its name, its process and what it was given.
const NOTE = `import { appendFileSync } from 'node:fs'
const note = (name, ...details) =>
  appendFileSync('notes', [name, process.pid, ...details].join(' ') + '\\n')`

const CONFIG = `${NOTE}
export default {
  on_starting: async (server) => {
    await null
    note('on_starting', server.pid, server.num_workers)
  },
  nworkers_changed: (server, now, before) => note('nworkers_changed', now, before),
  when_ready: (server) => note('when_ready', server.address.length),
  pre_fork: (server, worker) => {
    note('pre_fork', worker.pid)
    return { env: { GREETING: 'from pre_fork' } }
  },
  post_fork: (server, worker) => note('post_fork', server.pid, worker.pid),
  post_worker_init: async (worker) => {
    await null
    note('post_worker_init', worker.age, worker.alive)
  },
  pre_request: (worker, req) => {
    if (req.url === '/bad') throw new Error('not this one')
    note('pre_request', req.url)
  },
  post_request: (worker, req, environ, resp) =>
    note('post_request', environ.PATH_INFO, resp.statusCode),
  on_reload: (server) => note('on_reload', server.WORKERS.size),
  worker_int: (worker) => note('worker_int'),
  child_exit: (server, worker) => note('child_exit', worker.pid),
  worker_exit: async (server, worker) => { await null; note('worker_exit', worker.pid) },
  on_exit: async (server) => { await null; note('on_exit') },
}
`

function notes(program: Program): string[][] {
  const text = readFileSync(join(program.directory, 'notes'), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
}

function started(t: ExecutionContext, engine: string, config: string, ...more: string[]): Program {
  const files = { 'app.cjs': appSource('1'), 'monoceros.config.mjs': config }
  return startProgram(t, { files, args: serveArgs(engine, '-w', '1', ...more) })
}

for (const engine of ENGINES) {
  test.serial(`${engine}: hooks come in their order and in their process`, async (t) => {
    const program = await started(t, engine, CONFIG).ready(1)
    const arbiter = String(program.pid)
    const { pid, env } = await program.who('/one')
    t.is(env, 'from pre_fork')
    t.is((await program.get('/bad')).status, 500)
    await program.line(/Exception in the hook pre_request\nError: not this one/)
    await until(
      () => notes(program).filter(([name]) => name === 'post_request').length === 2,
      'two',
    )
    t.deepEqual(notes(program), [
      ['nworkers_changed', arbiter, '1', ''],
      ['on_starting', arbiter, arbiter, '1'],
      ['when_ready', arbiter, '1'],
      ['pre_fork', arbiter, '0'],
      ['post_fork', String(pid), arbiter, String(pid)],
      ['post_worker_init', String(pid), '1', 'false'],
      ['pre_request', String(pid), '/one'],
      ['post_request', String(pid), '/one', '200'],
      ['post_request', String(pid), '/bad', '500'],
    ])
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    program.signal('SIGINT')
    t.is(await program.exited, 0)
    const names = notes(program).map(([name]) => name)
    const later = names.slice(9).filter((name) => name !== 'post_fork')
    t.deepEqual(later, [
      ...['on_reload', 'pre_fork', 'post_worker_init', 'nworkers_changed'],
      ...['worker_exit', 'child_exit', 'worker_int', 'worker_exit', 'child_exit', 'on_exit'],
    ])
  })

  test.serial(
    `${engine}: the query of the environ is everything after the first question mark`,
    async (t) => {
      const config = `${NOTE}
    export default {
      post_request: (worker, req, { PATH_INFO, QUERY_STRING, RAW_URI }) =>
        note('post_request', PATH_INFO, QUERY_STRING, RAW_URI),
    }`
      const program = await started(t, engine, config).ready(1)
      const targets = ['/a?to=/b?c=1&d=?', '/a?', '/a']
      for (const target of targets) await program.get(target)
      await until(() => notes(program).length === targets.length, 'the notes')
      t.deepEqual(
        notes(program).map(([, , ...details]) => details),
        [
          ['/a', 'to=/b?c=1&d=?', '/a?to=/b?c=1&d=?'],
          ['/a', '', '/a?'],
          ['/a', '', '/a'],
        ],
      )
    },
  )

  test.serial(`${engine}: a second INT calls no hook again, and cuts none off`, async (t) => {
    const config = `${NOTE}
    import { setTimeout } from 'node:timers/promises'
    export default {
      worker_int: () => note('worker_int'),
      async worker_exit() {
        note('worker_exit')
        await setTimeout(600)
        note('done')
      },
    }`
    const program = await started(t, engine, config).ready(1)
    program.signal('SIGINT')
    await until(() => existsSync(join(program.directory, 'notes')), 'the first hook')
    program.signal('SIGINT')
    t.is(await program.exited, 0)
    t.deepEqual(
      notes(program).map(([name]) => name),
      ['worker_int', 'worker_exit', 'done'],
    )
  })

  test.serial(`${engine}: startup and shutdown of the application are waited for`, async (t) => {
    const source = `const { appendFileSync } = require('node:fs')
      const later = () => new Promise((done) => setTimeout(done, 200))
      let connected = false
      module.exports = (req, res) => res.end(String(connected))
      module.exports.startup = async () => { await later(); connected = true }
      module.exports.shutdown = async () => { await later(); appendFileSync('notes', 'shutdown') }`
    const options = { files: { 'app.cjs': source }, args: serveArgs(engine, '-w', '1') }
    const program = await startProgram(t, options).ready(1)
    t.is((await program.get()).body, 'true')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.deepEqual(notes(program), [['shutdown']])
  })

  test.serial(
    `${engine}: a shutdown that fails is logged, and the worker ends all the same`,
    async (t) => {
      const source = `module.exports = (req, res) => res.end()
        module.exports.shutdown = async () => { throw new Error('no database') }`
      const options = { files: { 'app.cjs': source }, args: serveArgs(engine, '-w', '1') }
      const program = await startProgram(t, options).ready(1)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      t.regex(program.log, /The shutdown of the application failed\n(.*\n)*?Error: no database/)
    },
  )
}

test.serial(
  'a promise of worker_exit is waited for, and the end of the engine is no error',
  async (t) => {
    const config = `import { setTimeout } from 'node:timers/promises'
    export default {
      async worker_exit(server, worker) {
        await setTimeout(900)
        worker.log.warning('left after ' + worker.nr)
      }
    }`
    const program = await started(t, 'auto', config).ready(1)
    await program.who()
    // The figures in the title are looked at once a second.
    program.signal('SIGTERM')
    await program.line(/left after 1/)
    t.is(await program.exited, 0)
    t.notRegex(program.log, /Uncaught error/)
  },
)

test.serial('worker_abort is called at ABRT, and the worker ends with 1', async (t) => {
  const config = `export default {
    worker_abort: (worker) => worker.log.warning('aborted ' + worker.nr),
  }`
  const program = await started(t, 'auto', config).ready(1)
  const { pid } = await program.who()
  program.signal('SIGABRT', pid)
  await program.line(/aborted 1/)
  await program.line(new RegExp(`Worker \\(pid:${pid}\\) exited with code 1`))
  t.is(program.child.exitCode, null)
})

interface FailingHook {
  readonly config: string
  readonly exit: number
  readonly line: RegExp
}

const endsTheStart = test.macro(
  async (t: ExecutionContext, { config, exit, line }: FailingHook) => {
    const program = started(t, 'auto', config)
    t.is(await program.exited, exit)
    await program.line(line)
  },
)

const thrower = (name: string) =>
  `export default { ${name}() { throw new Error('thrown by a hook') } }`

for (const name of ['on_starting', 'when_ready', 'nworkers_changed']) {
  test.serial(`an exception in ${name} ends the start with 1`, endsTheStart, {
    config: thrower(name),
    exit: 1,
    line: new RegExp(`hook ${name}(.*\\n)*?.*Error: thrown by a hook`),
  })
}

for (const name of ['post_fork', 'post_worker_init']) {
  test.serial(`an exception in ${name} is a failure to boot`, endsTheStart, {
    config: thrower(name),
    exit: 3,
    line: new RegExp(`the hook ${name} failed:\\nError: thrown by a hook`),
  })
}

test.serial('a hook that is no function of its module ends the start with 1', endsTheStart, {
  config: `export default { pre_fork: './hooks.mjs:missing' }`,
  exit: 1,
  line: /the hook pre_fork must be a function or FILE:EXPORT, got "\.\/hooks\.mjs:missing"/,
})

test.serial('pre_exec is called in the arbiter before a new one is started', async (t) => {
  const config = `export default {
    pre_exec: (server) => server.log.warning('about to start, ' + server.pid),
  }`
  const program = await started(t, 'auto', config).ready(1)
  program.signal('SIGUSR2')
  await program.line(new RegExp(`about to start, ${program.pid}`))
  const [, successor] = await program.line(/Listening at: .* \((\d+)\)/)
  await program.line(/Worker ready/)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  process.kill(Number(successor), 'SIGTERM')
  await until(() => !isAlive(Number(successor)), 'the end of the new arbiter')
})

test.serial('an exception in pre_exec is logged, and no new arbiter is started', async (t) => {
  const program = await started(t, 'auto', thrower('pre_exec')).ready(1)
  program.signal('SIGUSR2')
  await program.line(/Exception in the hook pre_exec\nError: thrown by a hook/)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  t.is(program.log.match(/Listening at/g)?.length, 1)
})

test.serial('an exception in on_reload gives the reload up', async (t) => {
  const program = await started(t, 'auto', thrower('on_reload')).ready(1)
  const { pid } = await program.who()
  program.signal('SIGHUP')
  await program.line(/the hook on_reload failed:\nError: thrown by a hook/)
  await program.line(/Reload failed; the old workers keep serving/)
  t.is((await program.who()).pid, pid)
})

test.serial(
  'TERM ends a start whose on_starting waits, and what that has left running',
  async (t) => {
    const config = `export default {
      on_starting: () => new Promise((done) => setTimeout(done, 60_000)),
    }`
    const program = started(t, 'auto', config)
    await program.line(/Starting monoceros/)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.notRegex(program.log, /Listening at/)
  },
)

test.serial(
  'an error of what a hook has left running is logged, and nothing else happens',
  async (t) => {
    const config = `export default { when_ready() {
    setTimeout(() => { throw new Error('thrown by a timer') })
    Promise.reject(new Error('rejected and not caught'))
  } }`
    const program = await started(t, 'auto', config).ready(1)
    await until(() => program.log.match(/Unexpected error\n/g)?.length === 2, 'both of them')
    t.regex(program.log, /Error: thrown by a timer/)
    t.regex(program.log, /Error: rejected and not caught/)
    t.is((await program.who()).version, '1')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  },
)

test.serial(
  'on_exit has graceful_timeout for what never comes, and the status stays',
  async (t) => {
    const config = `export default { graceful_timeout: 1, on_exit: () => new Promise(() => {}) }`
    const program = await started(t, 'auto', config).ready(1)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  },
)

test.serial('exceptions in other hooks are logged, and nothing else happens', async (t) => {
  const names = ['pre_fork', 'child_exit', 'on_exit', 'worker_exit', 'worker_int', 'post_request']
  const bodies = names.map((name) => `${name}() { throw new Error('thrown by a hook') }`)
  const program = await started(t, 'auto', `export default { ${bodies.join(', ')} }`).ready(1)
  await program.who()
  program.signal('SIGINT')
  t.is(await program.exited, 0)
  const failed = () => names.filter((name) => program.log.includes(`in the hook ${name}\n`))
  await until(() => failed().length === names.length, 'all of them').catch(() => {})
  t.deepEqual(failed(), names)
})

test.serial('a hook of a worker may be a module, also from the environment', async (t) => {
  const program = startProgram(t, {
    files: {
      'app.cjs': appSource('1'),
      'hooks.cjs': `exports.note = (worker, req) => worker.log.info('before ' + req.url)`,
    },
    args: serveArgs('auto', '-w', '1'),
    env: { MONOCEROS_PRE_REQUEST: './hooks.cjs:note' },
  })
  await program.ready(1)
  await program.who('/here')
  await program.line(/before \/here/)
  t.true(HOOK_NAMES.includes('pre_request'))
})
