// A reload whose settings name other addresses: opened and closed without touching the others.

import { existsSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { startLoad } from './load.ts'
import { appSource, ENGINES, get, type Program, startProgram } from './program.ts'

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
    t.false(existsSync(path))
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

async function reload(program: Program, config: string): Promise<void> {
  program.write('monoceros.config.json', config)
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
}
