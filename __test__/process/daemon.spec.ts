// `daemon` on the real command: what its shell observes, and which process keeps running.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import {
  appSource,
  childrenOf,
  get,
  isAlive,
  type Program,
  startProgram,
  until,
} from './program.ts'

const ARGS = ['app.cjs', '-b', 'unix:a.sock', '-D', '-p', 'pid', '-w', '2']

test.serial('the command ends with 0 when the daemon serves', async (t) => {
  const files = { 'app.cjs': appSource('1') }
  const program = startProgram(t, { files, args: [...ARGS, '--error-logfile', 'log'] })
  t.is(await program.exited, 0)
  const pid = daemonOf(t, program)
  t.is((await get({ socketPath: join(program.directory, 'a.sock') })).status, 200)
  // A session of its own, without a terminal.
  const [, , , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/\(.*\)/, '')
    .split(/\s+/)
  t.is(Number(session), pid)
  process.kill(pid, 'SIGWINCH')
  const workers = () => childrenOf(pid).length
  await until(() => workers() === 0, 'the workers to leave')
  t.true(isAlive(pid))
  process.kill(pid, 'SIGTTIN')
  await until(() => workers() === 1, 'a worker')
  process.kill(pid, 'SIGHUP')
  await until(
    () => readFileSync(join(program.directory, 'log'), 'utf8').includes('Reload complete'),
    'the reload',
  )
  t.is(workers(), 2)
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid), 'the end of the daemon')
  t.false(existsSync(join(program.directory, 'pid')))
})

test.serial(
  'a daemon that does not start is an error of the command, with the reason',
  async (t) => {
    const files = { 'app.cjs': 'throw new Error("no database")' }
    const program = startProgram(t, { files, args: ARGS })
    t.is(await program.exited, 3)
    await program.line(/application app\.cjs failed while loading/)
    await program.line(/Error: no database/)
    t.false(existsSync(join(program.directory, 'pid')))
  },
)

test.serial('a daemon that is killed before it serves is an error of the command', async (t) => {
  const files = { 'app.cjs': 'process.kill(process.ppid, "SIGKILL")' }
  const program = startProgram(t, { files, args: ARGS })
  t.is(await program.exited, 1)
  await program.line(/the daemon exited before it was ready: SIGKILL/)
})

test.serial('a pidfile of a living process is refused there too', async (t) => {
  const files = { 'app.cjs': appSource('1'), pid: `${process.pid}\n` }
  const program = startProgram(t, { files, args: ARGS })
  t.is(await program.exited, 1)
  await program.line(new RegExp(`belongs to process ${process.pid}`))
})

test.serial('with -R it keeps its standard error', async (t) => {
  const files = { 'app.cjs': appSource('1') }
  const program = startProgram(t, { files, args: [...ARGS, '-R'] })
  t.is(await program.exited, 0)
  const pid = daemonOf(t, program)
  await program.line(new RegExp(`Listening at: unix:.*a\\.sock \\(${pid}\\)`))
})

/** The process of the pidfile, which is terminated after the test. */
function daemonOf(t: ExecutionContext, program: Program): number {
  const pid = Number(readFileSync(join(program.directory, 'pid'), 'utf8'))
  t.teardown(() => {
    const family = isAlive(pid) ? [...childrenOf(pid), pid] : []
    for (const member of family) process.kill(member, 'SIGKILL')
  })
  return pid
}
