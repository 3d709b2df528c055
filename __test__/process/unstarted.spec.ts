// Processes that the system refuses to start: what node throws instead of emitting it is a failed
// boot like any other.

import test from 'ava'

import { system } from '../../ts/process/system.ts'
import { appSource, serveArgs, startProgram } from './program.ts'

// More than any system lets an environment have.
const TOO_LONG = `'x'.repeat(2_000_000)`

test('a process that cannot be started has the error, thrown or emitted', async (t) => {
  const base = { script: '/none.js', title: 'none', cwd: '/', env: {}, extraFds: [] }
  const cases = [
    { ...base, env: { LONG: 'x'.repeat(2_000_000) }, error: /E2BIG/ },
    { ...base, env: { BROKEN: 'a\0b' }, error: /null bytes/ },
    { ...base, cwd: '/nowhere', error: /ENOENT/ },
  ]
  for (const { error, ...options } of cases) {
    const child = system.spawn(options)
    t.is(child.pid, undefined)
    child.detach()
    const exit = await new Promise<{ error?: string }>((done) => child.onExit(done))
    t.regex(exit.error ?? '', error)
  }
})

test.serial('a worker that cannot be started in a reload keeps the old ones serving', async (t) => {
  const files = {
    'app.cjs': appSource('1'),
    'monoceros.config.mjs': `export default {
      pre_fork: (server, worker) => (worker.age > 1 ? { env: { LONG: ${TOO_LONG} } } : undefined),
    }`,
  }
  const program = await startProgram(t, { files, args: serveArgs('auto', '-w', '1') }).ready(1)
  const { pid } = await program.who()
  program.signal('SIGHUP')
  await program.line(/worker \(pid:-\) did not become ready: it could not be started: spawn E2BIG/)
  await program.line(/Reload failed; the old workers keep serving/)
  t.is((await program.who()).pid, pid)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

test.serial('a new arbiter that cannot be started keeps this one serving', async (t) => {
  const files = {
    'app.cjs': appSource('1'),
    'monoceros.config.mjs': `export default { pre_exec: () => { process.env.LONG = ${TOO_LONG} } }`,
  }
  const program = await startProgram(t, { files, args: serveArgs('auto', '-w', '1') }).ready(1)
  const { pid } = await program.who()
  program.signal('SIGUSR2')
  await program.line(/The new arbiter .*exited \(spawn E2BIG\); this one keeps serving/)
  t.is((await program.who()).pid, pid)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})
