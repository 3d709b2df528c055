// A reload whose settings name other addresses: opened and closed without touching the others.

import { existsSync, statSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { startLoad } from './load.ts'
import { appSource, ENGINES, get, type Program, startProgram, until } from './program.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: addresses come and go, the one that stays loses nothing`, async (t) => {
    const config = (...binds: string[]) =>
      JSON.stringify({ app: './app.cjs', engine, workers: 2, bind: ['127.0.0.1:0', ...binds] })
    const files = { 'app.cjs': appSource('1'), 'monoceros.config.json': config() }
    const program = await startProgram(t, { files, args: ['--log-level', 'debug'] }).ready(2)
    const path = join(program.directory, 'more.sock')
    const stop = startLoad({ port: program.port, keepAlive: 8, fresh: 4, path: '/slow/5' })
    await reload(program, config('unix:more.sock'))
    t.is((await get({ socketPath: path })).status, 200)
    const late = get({ socketPath: path, path: '/slow/1000' })
    await reload(program, config())
    t.is((await late).status, 200)
    await until(() => !existsSync(path), 'the socket to be removed')
    const { answered, lost } = await stop()
    t.deepEqual(lost, [])
    t.true(answered > 50, `${answered} answered`)
  })
}

test.serial('a port that is taken at a reload: a message, and the old set serves on', async (t) => {
  const holder = net.createServer()
  await new Promise<void>((done) => holder.listen(0, '127.0.0.1', done))
  const { port } = holder.address() as net.AddressInfo
  const config = (...binds: string[]) =>
    JSON.stringify({ app: './app.cjs', bind: ['127.0.0.1:0', ...binds] })
  const files = { 'app.cjs': appSource('1'), 'monoceros.config.json': config() }
  const program = await startProgram(t, { files, args: ['--log-level', 'debug'] }).ready(1)
  const workers = program.workers()
  program.write('monoceros.config.json', config(`127.0.0.1:${port}`))
  program.signal('SIGHUP')
  await program.line(new RegExp(`Connection in use: 127\\.0\\.0\\.1:${port}`))
  t.is((await program.who()).version, '1')
  await program.line(/cannot listen at .*: the address is in use/)
  await program.line(/Reload failed; the old workers keep serving/)
  t.deepEqual(program.workers(), workers)
  t.is((await program.who()).version, '1')
  await new Promise((done) => holder.close(done))
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
  t.is((await get({ port, path: '/' })).status, 200)
})

test.serial('the same addresses in other words are the same sockets', async (t) => {
  const config = (...bind: string[]) => JSON.stringify({ app: './app.cjs', workers: 1, bind })
  const files = {
    'app.cjs': appSource('1'),
    'monoceros.config.json': config('127.0.0.1:0', 'unix:a.sock'),
  }
  const program = await startProgram(t, { files, args: ['--log-level', 'debug'] }).ready(1)
  const path = join(program.directory, 'a.sock')
  const { ino } = statSync(path)
  for (const host of ['localhost', 'http://127.0.0.1', '127.0.0.1']) {
    await reload(program, config(`${host}:${program.port}`, `unix:${path}`))
    t.is((await program.who()).version, '1')
    t.is((await get({ socketPath: path })).status, 200)
  }
  t.is(statSync(path).ino, ino)
  t.is(program.log.match(/Listening at/g)?.length, 1)
  t.notRegex(program.log, /Connection in use/)
})

test.serial(
  'a change from one address to all addresses of a port logs that it needs a restart',
  async (t) => {
    const config = (bind: string) => JSON.stringify({ app: './app.cjs', workers: 1, bind })
    const files = { 'app.cjs': appSource('1'), 'monoceros.config.json': config('127.0.0.1:0') }
    const program = await startProgram(t, { files, args: ['--log-level', 'debug'] }).ready(1)
    program.write('monoceros.config.json', config(`:${program.port}`))
    program.signal('SIGHUP')
    await program.line(
      /cannot listen at 0\.0\.0\.0:\d+: .* already listens at http:\/\/127\.0\.0\.1:\d+, .*restart/,
    )
    await program.line(/Reload failed/)
    t.is((await program.who()).version, '1')
  },
)

test.serial('the mode of a unix socket that stays is that of the new umask', async (t) => {
  const config = (umask: number) =>
    JSON.stringify({ app: './app.cjs', bind: ['127.0.0.1:0', 'unix:a.sock'], umask })
  const files = { 'app.cjs': appSource('1'), 'monoceros.config.json': config(0o077) }
  const program = await startProgram(t, { files, args: ['--log-level', 'debug'] }).ready(1)
  const mode = () => statSync(join(program.directory, 'a.sock')).mode & 0o777
  t.is(mode(), 0o700)
  await reload(program, config(0o007))
  t.is(mode(), 0o770)
})

async function reload(program: Program, config: string): Promise<void> {
  program.write('monoceros.config.json', config)
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
}
