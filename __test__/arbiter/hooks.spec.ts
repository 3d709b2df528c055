// Hooks of the arbiter that wait, and what ends the wait.

import test from 'ava'

import type { Config } from '../../ts/settings/config.ts'
import { allReady, settle, startArbiter } from './fake-system.ts'

const FAILED = 'error Reload failed; the old workers keep serving'

const never = () => new Promise<void>(() => {})

async function fails(): Promise<void> {
  await null
  throw new TypeError('thrown by a hook')
}

const withHooks = (hooks: object) => hooks as Partial<Config>

test('TERM while on_starting waits ends the start, and nothing is opened', async (t) => {
  let goOn = () => {}
  const waits = () => new Promise<void>((done) => (goOn = done))
  const stage = await startArbiter(withHooks({ on_starting: waits }))
  await stage.system.signal('TERM')
  t.is(await stage.status, 0)
  goOn()
  await settle()
  t.deepEqual(
    stage.log.filter((line) => line.includes('Listening')),
    [],
  )
})

test('an on_starting that rejects ends the start with 1', async (t) => {
  const stage = await startArbiter(withHooks({ on_starting: fails }))
  t.is(await stage.status, 1)
  t.regex(stage.log.join('\n'), /the hook on_starting failed:\nTypeError: thrown by a hook/)
})

test('workers start when when_ready is done', async (t) => {
  let goOn = () => {}
  const waits = () => new Promise<void>((done) => (goOn = done))
  const stage = await startArbiter(withHooks({ when_ready: waits }))
  t.true(stage.log.some((line) => line.includes('Listening at')))
  t.is(stage.system.children.length, 0)
  goOn()
  await settle()
  t.is(stage.system.children.length, 2)
})

test('a when_ready that rejects ends the start with 1', async (t) => {
  const stage = await startArbiter(withHooks({ when_ready: fails }))
  t.is(await stage.status, 1)
  t.is(stage.system.children.length, 0)
  t.regex(stage.log.join('\n'), /the hook when_ready failed:\nTypeError: thrown by a hook/)
})

test('an on_reload that rejects gives the reload up, and what it opened is closed', async (t) => {
  const stage = await startArbiter(withHooks({ on_reload: fails }))
  await allReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:8000', '127.0.0.1:9000'] }
  await stage.system.signal('HUP')
  t.is(stage.log.at(-1), FAILED)
  t.is(stage.system.children.length, 2)
  t.deepEqual(stage.closed, ['127.0.0.1:9000'])
})

test('a config file or an on_reload that never ends is given up after boot_timeout', async (t) => {
  const stage = await startArbiter({ boot_timeout: 20 })
  await allReady(stage)
  for (const nextLoad of ['never' as const, withHooks({ on_reload: never })]) {
    stage.log.length = 0
    stage.nextLoad = nextLoad
    await stage.system.signal('HUP')
    await stage.system.pass(19_000)
    t.false(stage.log.includes(FAILED))
    await stage.system.pass(1_100)
    t.regex(stage.log.join('\n'), /did not finish within boot_timeout \(20s\)/)
    t.is(stage.log.at(-1), FAILED)
  }
  stage.nextLoad = {}
  await stage.system.signal('HUP')
  t.is(stage.system.children.length, 3)
})

test('a reload whose application fails gives the old hooks back', async (t) => {
  const called: string[] = []
  const pre = (name: string) => withHooks({ pre_fork: () => void called.push(name) })
  const stage = await startArbiter({ workers: 1, ...pre('old') })
  await allReady(stage)
  stage.nextLoad = pre('new')
  await stage.system.signal('HUP')
  stage.system.children[1]?.ends({ code: 1 })
  await settle()
  stage.system.children[0]?.ends({ signal: 'KILL' })
  await settle()
  t.deepEqual(called, ['old', 'new', 'old'])
})

test('logs that cannot be made give the reload up before a worker is started', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  stage.logTrouble = new TypeError('no such directory')
  await stage.system.signal('HUP')
  t.is(stage.system.children.length, 2)
  t.regex(stage.log.join('\n'), /no such directory/)
  t.is(stage.log.at(-1), FAILED)
})

test('INT ends the wait for on_exit', async (t) => {
  const stage = await startArbiter(withHooks({ on_exit: never, workers: 1 }))
  await allReady(stage)
  await stage.system.signal('TERM')
  stage.system.children[0]?.ends({ code: 0 })
  await settle()
  await stage.system.signal('INT')
  t.is(await stage.status, 0)
})
