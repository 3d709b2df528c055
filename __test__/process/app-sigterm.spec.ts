// What an application does at TERM by itself.

import { once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'

import { ENGINES, serveArgs, startProgram } from './program.ts'

const SIGNAL_EXIT_4 = createRequire(import.meta.url).resolve('signal-exit')

const app = (listener: string) => `
const server = require('node:http').createServer((req, res) => res.end('hello'))
const pool = setInterval(() => {}, 1_000)
process.once('SIGTERM', ${listener})
server.listen(3000)
`

const CASES = {
  'its clean-up is waited for until it ends the process': `() => {
    server.close(() => setTimeout(() => {
      console.error('all is stored')
      process.exit(0)
    }, 300))
  }`,
  'its clean-up is waited for until nothing is left to do': `() => {
    clearInterval(pool)
    setTimeout(() => console.error('all is stored'), 300)
  }`,
  'its clean-up is waited for until it sends the signal again': `() => {
    setTimeout(() => {
      console.error('all is stored')
      process.kill(process.pid, 'SIGTERM')
    }, 300)
  }`,
  'what begins when nothing else is left is waited for': `() => {
    clearInterval(pool)
    process.once('beforeExit', () => setTimeout(() => console.error('all is stored'), 300))
  }`,
}

for (const engine of ENGINES) {
  const args = serveArgs(engine, '-w', '1').with(0, './app.cjs')
  for (const [title, listener] of Object.entries(CASES)) {
    test.serial(`${engine}: ${title}`, async (t) => {
      const files = { 'app.cjs': app(listener) }
      const program = await startProgram(t, { args, files }).ready(1)
      t.is((await program.get('/')).body, 'hello')
      program.signal('SIGTERM')
      await program.line(/all is stored/)
      t.is(await program.exited, 0)
      t.notRegex(program.log, /killing|SIGKILL/)
    })
  }

  test.serial(`${engine}: it has no longer than graceful_timeout`, async (t) => {
    const files = { 'app.cjs': app(`() => console.error('never')`) }
    const limited = serveArgs(engine, '-w', '1', '--graceful-timeout', '1').with(0, './app.cjs')
    const program = await startProgram(t, { args: limited, files }).ready(1)
    program.signal('SIGTERM')
    await program.line(/never/)
    t.is(await program.exited, 0)
    t.regex(program.log, /\[WARNING\] The application handles SIGTERM, but did not exit/)
  })

  test.serial(
    `${engine}: signal-exit 4, which others bring along, is not waited for`,
    async (t) => {
      const hook = `require(${JSON.stringify(SIGNAL_EXIT_4)}).onExit(() => {})`
      const source = `${hook}\n${app('() => {}')}`
      const files = { 'app.cjs': source.replace(/process\.once.*/, '') }
      const program = await startProgram(t, { args, files }).ready(1)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      t.notRegex(program.log, /did not exit within graceful_timeout/)
    },
  )

  test.serial(`${engine}: where it only closes its server the worker ends at once`, async (t) => {
    const files = { 'app.cjs': app('() => { clearInterval(pool); server.close() }') }
    const program = await startProgram(t, { args, files }).ready(1)
    const begun = performance.now()
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.true(performance.now() - begun < 10_000)
  })

  test.serial(`${engine}: a client that has just connected is served before 'close'`, async (t) => {
    const files = { 'app.cjs': app('() => server.close(() => process.exit(0))') }
    const program = await startProgram(t, { args, files }).ready(1)
    const client = net.connect(program.port, '127.0.0.1')
    await once(client, 'connect')
    // Until the worker has accepted it.
    await pause(300)
    program.signal('SIGTERM')
    await program.line(/Handling signal: term/)
    await pause(300)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const pieces = await client.toArray()
    t.regex(String(pieces[0]), /^HTTP\/1.1 200 OK\r\n/)
    t.is(await program.exited, 0)
  })

  test.serial(`${engine}: messages of the arbiter meanwhile do not stop it`, async (t) => {
    const listener = `() => setTimeout(() => {
      console.error('all is stored')
      process.exit(0)
    }, 4_000)`
    const files = { 'app.cjs': app(listener) }
    const accesslog = ['--access-logfile', 'access.log']
    const program = await startProgram(t, { args: [...args, ...accesslog], files }).ready(1)
    program.signal('SIGHUP')
    await program.line(/Worker ready/)
    // By then nothing is in flight, and the engine is closed. The worker does not log that.
    await pause(2_500)
    program.signal('SIGUSR1')
    program.signal('SIGTERM')
    await program.line(/all is stored/)
    await program.line(/all is stored/)
    t.is(await program.exited, 0)
    t.notRegex(program.log, /ERROR/)
  })

  for (const failure of ["throw new Error('no clean-up')", "Promise.reject('no clean-up')"]) {
    test.serial(`${engine}: who fails in it is not waited for: ${failure}`, async (t) => {
      const files = { 'app.cjs': app(`() => { ${failure} }`) }
      const program = await startProgram(t, { args, files }).ready(1)
      const begun = performance.now()
      program.signal('SIGTERM')
      await program.line(/no clean-up/)
      t.is(await program.exited, 0)
      t.true(performance.now() - begun < 10_000)
    })
  }

  test.serial(`${engine}: signal-exit 3 is not waited for`, async (t) => {
    // As it does it: it looks whether all who listen are its own.
    const emitter = `const all = process.__signal_exit_emitter__ = { count: 1 }`
    const listener = `() => {
      if (process.listeners('SIGTERM').length === all.count) process.kill(process.pid, 'SIGTERM')
    }`
    const program = await startProgram(t, {
      files: { 'app.cjs': `${emitter}${app(listener)}` },
      args,
    }).ready(1)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.notRegex(program.log, /did not exit within graceful_timeout/)
  })
}
