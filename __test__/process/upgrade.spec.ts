// USR2 on the real command: two arbiters on the same sockets, both ways out of it, under load.

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { needs } from '../requirements.ts'
import { startLoad } from './load.ts'
import {
  appSource,
  childrenOf,
  ENGINES,
  get,
  isAlive,
  serveArgs,
  startProgram,
  until,
} from './program.ts'
import { upgrade } from './upgrading.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const testBuilt = needs('a build', existsSync(join(ROOT, 'dist/cli/main.js')))

for (const engine of ENGINES) {
  test.serial(`${engine}: USR2 and TERM to the old arbiter lose nothing`, async (t) => {
    const args = serveArgs(engine, '-w', '2', '-p', 'pid', '-b', 'unix:a.sock')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
    const at = (name: string) => join(program.directory, name)
    const stop = startLoad({ port: program.port, keepAlive: 12, fresh: 4, path: '/slow/5' })
    program.write('app.cjs', appSource('2'))
    const newer = await upgrade(t, program)
    t.true(program.log.includes(`Taking over from the arbiter (pid: ${program.pid})`))
    t.is(readFileSync(at('pid'), 'utf8'), `${program.pid}\n`)
    t.is(readFileSync(at('pid.2'), 'utf8'), `${newer}\n`)
    program.signal('SIGHUP')
    await program.line(/SIGHUP is refused: the new arbiter/)
    program.signal('SIGUSR2')
    await program.line(/SIGUSR2 is refused: the new arbiter/)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    await until(() => program.log.includes('Master has been promoted.'), 'the promotion')
    const { answered, lost } = await stop()
    t.deepEqual(lost, [])
    t.true(answered > 50, `${answered} answered`)
    t.is((await program.who()).version, '2')
    t.is(JSON.parse((await get({ socketPath: at('a.sock') })).body).version, '2')
    t.is(readFileSync(at('pid'), 'utf8'), `${newer}\n`)
    t.false(existsSync(at('pid.2')))
    t.is(childrenOf(newer).length, 2)
    process.kill(newer, 'SIGTERM')
    await until(() => !isAlive(newer), 'the end of the new arbiter')
    t.false(existsSync(at('a.sock')))
    t.false(existsSync(at('pid')))
  })

  test.serial(`${engine}: USR2, WINCH and the way back lose nothing`, async (t) => {
    const args = serveArgs(engine, '-w', '2', '-p', 'pid', '-b', 'unix:a.sock')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
    const stop = startLoad({ port: program.port, keepAlive: 12, fresh: 4, path: '/slow/5' })
    const newer = await upgrade(t, program)
    program.signal('SIGWINCH')
    await until(
      () => program.log.match(/Worker exiting/g)?.length === 2,
      'the old workers to leave',
    )
    t.deepEqual(childrenOf(program.pid), [newer])
    program.signal('SIGHUP')
    await program.line(/Starting all workers again/)
    await program.line(/Worker ready/)
    await program.line(/Worker ready/)
    process.kill(newer, 'SIGTERM')
    await program.line(/The new arbiter \(pid: \d+\) exited \(code 0\); this one keeps serving/)
    const { lost } = await stop()
    t.deepEqual(lost, [])
    t.true(existsSync(join(program.directory, 'a.sock')))
    t.false(existsSync(join(program.directory, 'pid.2')))
    t.is(program.workers().length, 2)
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
  })
}

test.serial('a new arbiter that cannot start does not change the old one', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  program.write('app.cjs', 'throw new Error("half a deployment")')
  program.signal('SIGUSR2')
  await program.line(/Error: half a deployment/)
  await program.line(/The new arbiter \(pid: \d+\) exited \(code 3\); this one keeps serving/)
  t.is((await program.who()).version, '1')
})

test.serial('the old arbiter is killed: the new one has everything', async (t) => {
  const args = serveArgs('auto', '-w', '1', '-p', 'pid')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const newer = await upgrade(t, program)
  program.signal('SIGKILL')
  t.is(await program.exited, 'SIGKILL')
  await until(() => program.log.includes('Master has been promoted.'), 'the promotion')
  const pid = join(program.directory, 'pid')
  await until(() => readFileSync(pid, 'utf8') === `${newer}\n`, 'the pidfile')
  t.is(childrenOf(newer).includes((await program.who()).pid), true)
})

testBuilt('the new arbiter is of the version that is installed now', async (t) => {
  // Another version of the addon is not at hand.
  const args = serveArgs('node', '-w', '1')
  const place = mkdtempSync(join(tmpdir(), 'monoceros-installed-'))
  t.teardown(() => rmSync(place, { recursive: true }))
  const entry = install(place, '1.0.0')
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args, entry })
  await program.ready(1)
  t.regex(program.log, /Starting monoceros 1\.0\.0/)
  // As npm does it: another directory takes the place of the first.
  rmSync(join(place, 'installed'), { recursive: true })
  install(place, '1.1.0')
  await upgrade(t, program)
  t.regex(program.log, /Starting monoceros 1\.1\.0/)
})

/** Puts the built package with another version into a directory; the result is its command. */
function install(directory: string, version: string): string {
  const at = join(directory, 'installed')
  cpSync(join(ROOT, 'dist'), join(at, 'dist'), { recursive: true })
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  writeFileSync(join(at, 'package.json'), JSON.stringify({ ...manifest, version }))
  symlinkSync(join(ROOT, 'node_modules'), join(at, 'node_modules'))
  return join(at, 'dist/cli/main.js')
}
