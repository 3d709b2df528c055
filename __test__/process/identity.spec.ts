// What the processes are to the system and to the application: titles, process 1, the environment,
// the check.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { needs } from '../requirements.ts'
import { appSource, childrenOf, ENGINES, serveArgs, startProgram, until } from './program.ts'

const LONG_NAME = 'a-service-with-a-name-that-is-longer-than-the-arguments-of-a-process-usually-are'

for (const engine of ENGINES) {
  test.serial(`${engine}: a worker's title is whole in ps`, async (t) => {
    const args = serveArgs(engine, '-w', '1', '-n', LONG_NAME)
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
    const [worker = 0] = program.workers()
    const shown = `monoceros: worker [${LONG_NAME}] serving, 0 in flight`
    // The worker reports that it is ready before it changes its title.
    await until(() => titleOf(worker) === shown, 'the title of the worker')
    t.pass('the title is whole')
    // Without the addon the arbiter's title has only the room of its own arguments.
    if (native === null) return
    const whole = `monoceros: arbiter [${LONG_NAME}] 1 worker, 0 in flight`
    await until(() => titleOf(program.pid) === whole, 'the title of the arbiter')
    const answer = program.get('/slow/2500')
    await until(
      () => titleOf(worker).endsWith(' serving, 1 in flight'),
      'the figures of the worker',
    )
    await until(() => titleOf(program.pid).endsWith(' 1 in flight'), 'the figures of the arbiter')
    t.is((await answer).status, 200)
  })
}

test.serial(
  'the application sees its worker, its instance, the port and no channel of node',
  async (t) => {
    const source = `module.exports = (req, res) => res.end(JSON.stringify({
      worker: process.env.MONOCEROS_WORKER, instance: process.env.NODE_APP_INSTANCE,
      port: process.env.PORT, own: process.env.OWN, listen: process.env.LISTEN_FDS,
      sent: process.send({ ready: true }), script: process.argv[1].split('/').at(-1),
    }))`
    const program = startProgram(t, {
      files: { 'app.cjs': source },
      args: serveArgs('auto', '-w', '1', '-e', 'OWN=a=b'),
      env: { LISTEN_FDS: '1' },
    })
    await program.ready(1)
    t.deepEqual(JSON.parse((await program.get()).body), {
      worker: '1',
      instance: '0',
      port: String(program.port),
      own: 'a=b',
      sent: true,
      script: 'app.cjs',
    })
  },
)

/** A process namespace of its own, as a container has one. */
const ISOLATED = ['--fork', '--pid', '--mount-proc', '--kill-child']
const mayIsolate = spawnSync('unshare', [...ISOLATED, 'true']).status === 0
// Only root may make namespaces, and not in every container.
const testIsolated = needs('the right to unshare', mayIsolate)

testIsolated('as process 1 of a container: serves, and TERM ends it with 0', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '1'),
    command: ['unshare', ...ISOLATED],
  })
  await program.ready(1)
  t.regex(program.log, /\[1\] \[INFO\] Starting monoceros/)
  t.is((await program.who()).version, '1')
  // Seen from outside, process 1 is the child of unshare.
  const [arbiter = 0] = program.workers()
  process.kill(arbiter, 'SIGTERM')
  t.is(await program.exited, 0)
  await program.line(/Shutting down: Master/)
})

if (native !== null) {
  testIsolated('as process 1 of a container it reaps orphans', async (t) => {
    const orphan = `require('node:child_process').spawn('sh', ['-c', 'sleep 2 &'])`
    const program = startProgram(t, {
      files: { 'app.cjs': `${orphan}\n${appSource('1')}` },
      args: serveArgs('native', '-w', '1'),
      command: ['unshare', ...ISOLATED],
    })
    await program.ready(1)
    const [arbiter = 0] = program.workers()
    await until(() => childrenOf(arbiter).length === 2, 'the orphan beside the worker')
    await until(() => childrenOf(arbiter).length === 1, 'the end of the orphan')
    await until(() => childrenOf(arbiter, true).length === 1, 'the orphan reaped')
    t.is((await program.who()).version, '1')
  })
}

test.serial('the check loads the application and serves nothing', async (t) => {
  const files = { 'app.cjs': appSource('1'), 'broken.cjs': 'throw new Error("no database")' }
  const good = startProgram(t, { files, args: ['app.cjs', '--check-config'] })
  t.is(await good.exited, 0)
  t.is(good.log, '')
  const bad = startProgram(t, { files, args: ['broken.cjs', '--check-config'] })
  t.is(await bad.exited, 3)
  await until(() => bad.child.stderr?.readableEnded, 'the end of the log')
  t.regex(bad.log, /application broken\.cjs failed while loading:\nError: no database/)
})

test.serial('preload_app loads the application first, and ends with its error', async (t) => {
  const files = { 'app.cjs': appSource('1'), 'broken.cjs': 'throw new Error("no database")' }
  const args = ['-b', '127.0.0.1:0', '--preload', '--log-level', 'debug']
  const bad = startProgram(t, { files, args: ['broken.cjs', ...args] })
  t.is(await bad.exited, 3)
  await bad.line(/application broken\.cjs failed while loading:\nError: no database/)
  t.notRegex(bad.log, /Listening at/)
  const good = await startProgram(t, { files, args: ['app.cjs', ...args] }).ready(1)
  t.is((await good.who()).version, '1')
})

/** What ps shows. */
function titleOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/[\0 ]+$/, '')
}
