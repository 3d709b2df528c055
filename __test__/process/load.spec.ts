// Signals and deaths while clients never stop asking: what is lost is counted.

import test from 'ava'

import { startLoad } from './load.ts'
import { appSource, ENGINES, serveArgs, startProgram, until } from './program.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: HUP, TTIN and TTOU under load lose nothing`, async (t) => {
    const args = serveArgs(engine, '-w', '2', '--graceful-timeout', '10')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
    const stop = startLoad({ port: program.port, keepAlive: 24, fresh: 6, path: '/slow/5' })
    for (const version of ['2', '3']) {
      program.write('app.cjs', appSource(version))
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
    }
    for (let count = 0; count < 2; count += 1) {
      program.signal('SIGTTIN')
      await program.line(/Worker ready/)
    }
    for (let count = 0; count < 3; count += 1) {
      program.signal('SIGTTOU')
      await program.line(/Worker exiting/)
    }
    const { answered, lost } = await stop()
    t.deepEqual(lost, [])
    t.true(answered > 100, `${answered} answered`)
    t.is((await program.who()).version, '3')
  })

  test.serial(`${engine}: HUP loses nothing where the program closes its server`, async (t) => {
    const source = `const server = require('node:http').createServer((req, res) => res.end('hello'))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
server.listen(3000)`
    const args = serveArgs(engine, '-w', '2', '--graceful-timeout', '10')
    const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(2)
    const stop = startLoad({ port: program.port, keepAlive: 32, fresh: 0, pauseMs: 1 })
    for (let count = 0; count < 3; count += 1) {
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
    }
    const { answered, lost } = await stop()
    t.deepEqual(lost, [])
    t.true(answered > 100, `${answered} answered`)
  })

  test.serial(`${engine}: TERM under load answers all that is in flight`, async (t) => {
    const args = serveArgs(engine, '-w', '2')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
    const inFlight = Array.from({ length: 32 }, () => program.get('/held/1000'))
    for (const _ of inFlight) await program.line(/A request is held/)
    program.signal('SIGTERM')
    const statuses = await Promise.all(inFlight.map(async (answer) => (await answer).status))
    t.deepEqual([...new Set(statuses)], [200])
    t.is(await program.exited, 0)
  })

  test.serial(
    `${engine}: killed workers lose only what is in flight in them, and are replaced`,
    async (t) => {
      const args = serveArgs(engine, '-w', '2')
      const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
      const stop = startLoad({ port: program.port, keepAlive: 8, fresh: 4 })
      const kills = 4
      for (let count = 0; count < kills; count += 1) {
        const victim = program.workers()[count % 2]
        if (victim !== undefined) process.kill(victim, 'SIGKILL')
        await program.line(/was sent SIGKILL/)
        await program.line(/Worker ready/)
      }
      const { answered, lost } = await stop()
      // Each client can have had one request in the worker that was killed.
      t.true(lost.length <= 12 * kills, `${lost.length} lost`)
      t.false(lost.some((reason) => reason.includes('ECONNREFUSED')))
      t.true(answered > 100, `${answered} answered`)
      await until(() => program.workers().length === 2, 'two workers')
    },
  )
}
