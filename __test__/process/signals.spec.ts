// One test for each signal, on the real command.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { appSource, ENGINES, get, isAlive, serveArgs, startProgram, until } from './program.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: TERM answers what is in flight and exits with 0`, async (t) => {
    const args = serveArgs(engine, '-w', '2', '-p', 'pid')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
    t.is(readFileSync(join(program.directory, 'pid'), 'utf8'), `${program.pid}\n`)
    const answer = program.who('/held/500')
    await program.line(/A request is held/)
    program.signal('SIGTERM')
    t.is((await answer).version, '1')
    t.is(await program.exited, 0)
    await program.line(/Handling signal: term/)
    await program.line(/Shutting down: Master/)
    t.false(existsSync(join(program.directory, 'pid')))
    t.is(program.log.match(/Worker exiting/g)?.length, 2)
  })

  for (const name of ['INT', 'QUIT'] as const) {
    test.serial(`${engine}: ${name} cuts what is in flight and exits with 0`, async (t) => {
      const args = serveArgs(engine, '-w', '1')
      const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
      const cut = t.throwsAsync(program.get('/held/20000'))
      await program.line(/A request is held/)
      program.signal(`SIG${name}`)
      t.is(await program.exited, 0)
      await cut
      t.regex(program.log, new RegExp(`Handling signal: ${name.toLowerCase()}`))
    })
  }

  test.serial(`${engine}: INT during a graceful stop ends it within two seconds`, async (t) => {
    const args = serveArgs(engine, '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
    const cut = t.throwsAsync(program.get('/held/25000'))
    await program.line(/A request is held/)
    program.signal('SIGTERM')
    await program.line(/Handling signal: term/)
    program.signal('SIGUSR1')
    program.signal('SIGTERM')
    program.signal('SIGINT')
    await program.line(/Quick shutdown requested/)
    t.is(await program.exited, 0)
    await cut
  })

  test.serial(
    `${engine}: HUP serves the new application, one worker after the other`,
    async (t) => {
      const args = serveArgs(engine, '-w', '2')
      const program = await startProgram(t, { files: { 'app.cjs': appSource('old') }, args }).ready(
        2,
      )
      const old = program.workers()
      program.write('app.cjs', appSource('new'))
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
      t.is((await program.who()).version, 'new')
      await until(() => old.every((pid) => !isAlive(pid)), 'the old workers to end')
      t.is(program.workers().length, 2)
    },
  )

  test.serial(`${engine}: TERM to a worker drains it, and a successor is there`, async (t) => {
    const args = serveArgs(engine, '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
    const [worker = 0] = program.workers()
    const answer = program.who('/held/300')
    await program.line(/A request is held/)
    process.kill(worker, 'SIGTERM')
    t.is((await answer).pid, worker)
    await program.line(/was sent SIGTERM/)
    await program.line(/Worker ready/)
    t.not((await program.who()).pid, worker)
  })
}

test.serial('HUP, USR1, USR2 and WINCH to a worker change nothing', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const [worker = 0] = program.workers()
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const) {
    process.kill(worker, signal)
    t.is((await program.who()).pid, worker)
  }
})

test.serial('one line reports that all workers serve, and where', async (t) => {
  const args = serveArgs('auto', '-w', '2')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
  const [, workers, port] = await program.line(
    /\[INFO\] Ready: (\d) workers serve at http:\/\/127\.0\.0\.1:(\d+)$/,
  )
  t.is(workers, '2')
  t.is(Number(port), program.port)
  t.is(program.log.match(/Ready:/g)?.length, 1)
  t.is(program.log.match(/\[INFO\] Booting worker with pid: \d+$/gm)?.length, 2)
})

test.serial('WINCH is ignored in the foreground, where a terminal sends it', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const workers = program.workers()
  program.signal('SIGWINCH')
  await program.line(/SIGWINCH is ignored/)
  t.notRegex(program.log, /Handling signal: winch/)
  t.deepEqual(program.workers(), workers)
})

test.serial('TTIN adds a worker, TTOU takes the oldest away but never the last', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const [first = 0] = program.workers()
  program.signal('SIGTTIN')
  await program.line(/Worker ready/)
  t.is(program.workers().length, 2)
  program.signal('SIGTTOU')
  await program.line(new RegExp(`Worker exiting \\(pid: ${first}\\)`))
  program.signal('SIGTTOU')
  await program.line(/workers stays at 1: 0 is not between 1 and 30/)
  t.is((await program.who()).version, '1')
  t.is(program.workers().length, 1)
})

test.serial('HUP takes new settings: workers, environment, addresses', async (t) => {
  const config = (workers: number, greeting: string, bind: string[]) =>
    JSON.stringify({ app: './app.cjs', workers, raw_env: [`GREETING=${greeting}`], bind })
  const program = startProgram(t, {
    files: {
      'app.cjs': appSource('1'),
      'monoceros.config.json': config(1, 'hello', ['127.0.0.1:0', 'unix:first.sock']),
    },
    args: ['--log-level', 'debug'],
  })
  await program.ready(1)
  t.is((await program.who()).env, 'hello')
  program.write('monoceros.config.json', config(2, 'good day', ['127.0.0.1:0', 'unix:second.sock']))
  program.signal('SIGHUP')
  await program.line(/Listening at: http:\/\/127\.0\.0\.1:\d+,unix:.*second\.sock/)
  await program.line(/Reload complete/)
  t.is((await program.who()).env, 'good day')
  t.is(program.workers().length, 2)
  const { body } = await get({ socketPath: join(program.directory, 'second.sock') })
  t.is(JSON.parse(body).env, 'good day')
  t.false(existsSync(join(program.directory, 'first.sock')))
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  t.false(existsSync(join(program.directory, 'second.sock')))
})

test.serial(
  'HUP with a broken application keeps the old workers serving, until it is mended',
  async (t) => {
    const args = serveArgs('auto', '-w', '2')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('old') }, args }).ready(2)
    const workers = program.workers()
    program.write('app.cjs', 'module.exports = (req, res => {')
    program.signal('SIGHUP')
    await program.line(/application app\.cjs failed while loading/)
    await program.line(/SyntaxError/)
    await program.line(/Reload failed; the old workers keep serving/)
    t.is((await program.who()).version, 'old')
    await until(() => program.workers().length === 2, 'the failed worker to end')
    t.deepEqual(program.workers(), workers)
    program.write('app.cjs', appSource('mended'))
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    t.is((await program.who()).version, 'mended')
  },
)

test.serial('HUP logs a syntax error of an ES module with its file and line', async (t) => {
  const args = serveArgs('auto', '-w', '1').with(0, 'app.mjs')
  const source = (version: string) => `export default (req, res) => res.end('${version}')\n`
  const program = await startProgram(t, { files: { 'app.mjs': source('1') }, args }).ready(1)
  program.write('app.mjs', `${source('2')}export const = 2\n`)
  program.signal('SIGHUP')
  await program.line(/app\.mjs failed while loading:\n.*app\.mjs:2\nexport const = 2\n/)
  await program.line(/Reload failed; the old workers keep serving/)
  t.is((await program.get()).body, '1')
})

test.serial(
  'HUP with a broken config keeps the old workers serving, until it is mended',
  async (t) => {
    const good = JSON.stringify({ app: './app.cjs', workers: 1, bind: ['127.0.0.1:0'] })
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1'), 'monoceros.config.json': good },
      args: ['--log-level', 'debug'],
    })
    await program.ready(1)
    for (const broken of ['{ "workers": 1', '{ "workers": "many" }']) {
      program.write('monoceros.config.json', broken)
      program.signal('SIGHUP')
      await program.line(/\[ERROR\] .*(monoceros\.config\.json|workers)/)
      await program.line(/Reload failed; the old workers keep serving/)
      t.is((await program.who()).version, '1')
    }
    program.write('monoceros.config.json', good)
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    t.is((await program.who()).version, '1')
  },
)
