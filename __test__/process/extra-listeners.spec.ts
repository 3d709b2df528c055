// Extra servers of an application: every worker listens on them, on ports that the arbiter holds.

import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import test from 'ava'

import { needsAddon } from '../requirements.ts'
import { startLoad } from './load.ts'
import { ENGINES, get, isAlive, type Program, serveArgs, startProgram, until } from './program.ts'
import { upgrade } from './upgrading.ts'

/** Free a moment ago. */
async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

/** Serves on its first server, and its metrics on an extra one. */
function source(metrics: number, version = '1'): string {
  return `
    const http = require('node:http')
    const answer = (what) => (req, res) => {
      const text = JSON.stringify({ what, pid: process.pid, version: '${version}' })
      setTimeout(() => res.end(text), Number(req.url.slice(1)))
    }
    const main = http.createServer(answer('main')).listen(3000)
    const extra = http.createServer((req, res) => {
      if (req.url === '/close') main.close()
      if (req.url === '/listen') main.listen(3000)
      if (req.url === '/leave') extra.close()
      answer('metrics')(req, res)
    })
    extra.listen({ port: ${metrics}, host: '127.0.0.1' })
    extra.on('error', (error) => console.error('extra', error))`
}

const report = async (
  port: number,
  path = '/',
): Promise<{ what: string; pid: number; version: string }> =>
  JSON.parse((await get({ port, path })).body)

const withAddon = needsAddon()

for (const engine of ENGINES) {
  withAddon(
    `${engine}: every worker listens on the extra server's port, through a reload`,
    async (t) => {
      const metrics = await freePort()
      const args = serveArgs(engine, '-w', '2')
      const program = await startProgram(t, { files: { 'app.cjs': source(metrics) }, args }).ready(
        2,
      )
      t.true(program.log.includes(`Listening for the application at: 127.0.0.1:${metrics}`))
      t.is((await report(program.port)).what, 'main')
      const stop = startLoad({ port: metrics, keepAlive: 0, fresh: 4, path: '/1' })
      const seen = new Set<number>()
      await until(async () => {
        // Together, so that one worker alone does not take them all.
        const all = await Promise.all([1, 2, 3, 4].map(() => report(metrics, '/20')))
        for (const { pid } of all) seen.add(pid)
        return seen.size === 2
      }, 'an answer of both workers')
      program.write('app.cjs', source(metrics, '2'))
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
      await until(async () => (await report(metrics)).version === '2', 'the new version')
      const { lost } = await stop()
      t.deepEqual(lost, [])
      t.notRegex(program.log, /EADDRINUSE|extra Error/)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      await t.throwsAsync(report(metrics))
    },
  )
}

withAddon('a new arbiter takes over the extra sockets of the old one', async (t) => {
  const metrics = await freePort()
  const args = serveArgs('native', '-w', '1', '-p', 'pid')
  const program = await startProgram(t, { files: { 'app.cjs': source(metrics) }, args }).ready(1)
  program.write('app.cjs', source(metrics, '2'))
  const newer = await upgrade(t, program)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  const { version } = await report(metrics)
  t.is(version, '2')
  t.notRegex(program.log, /EADDRINUSE|extra Error/)
  process.kill(newer, 'SIGTERM')
  await until(() => !isAlive(newer), 'the end of the new arbiter')
})

withAddon('an address is closed when no worker listens there any more', async (t) => {
  const metrics = await freePort()
  const args = serveArgs('native', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source(metrics) }, args }).ready(1)
  await report(metrics, '/leave')
  await until(
    () =>
      report(metrics).then(
        () => false,
        () => true,
      ),
    'the end of the address',
  )
  t.is((await report(program.port)).what, 'main')
})

withAddon("a extra port that is taken is the program's to deal with", async (t) => {
  const holder = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => holder.close())
  await once(holder, 'listening')
  const { port } = holder.address() as AddressInfo
  const args = serveArgs('native', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source(port) }, args }).ready(1)
  await until(() => program.log.includes('extra Error: listen EADDRINUSE'), "the program's error")
  t.regex(
    program.log,
    new RegExp(
      `\\[DEBUG\\] Cannot listen for the application at 127\\.0\\.0\\.1:${port}: .*in use`,
    ),
  )
  t.is((await report(program.port)).what, 'main')
})

withAddon(
  'a worker whose program closes its server accepts nothing until it listens again',
  async (t) => {
    const metrics = await freePort()
    const args = serveArgs('native', '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': source(metrics) }, args }).ready(1)
    await report(metrics, '/close')
    await program.line(/The application has closed its server/)
    const late = report(program.port)
    const first = await Promise.race([late, report(metrics, '/300')])
    t.is(first.what, 'metrics')
    await report(metrics, '/listen')
    t.is((await late).what, 'main')
  },
)

for (const engine of ENGINES) {
  test.serial(
    `${engine}: listen_port selects the server that is served at the addresses`,
    async (t) => {
      const metrics = await freePort()
      const args = serveArgs(engine, '-w', '1', '--listen-port', String(metrics))
      const port = await freePort()
      const text = source(metrics).replace('listen(3000)', `listen(${port})`)
      const program: Program = await startProgram(t, { files: { 'app.cjs': text }, args }).ready(1)
      t.is((await report(program.port)).what, 'metrics')
      t.is((await report(port)).what, 'main')
      await t.throwsAsync(report(metrics))
    },
  )
}
