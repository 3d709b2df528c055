// Hooks of the arbiter that return a promise, and what stops the wait for it.

import test from 'ava'

import type { Config } from '../../ts/settings/config.ts'
import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

const FAILED = 'error Reload failed; the old workers keep serving'

const never = () => new Promise<void>(() => {})

async function fails(): Promise<void> {
  await null
  throw new TypeError('thrown by a hook')
}

const withHooks = (hooks: object) => hooks as Partial<Config>

test('TERM while on_starting is pending ends the start before an address is opened', async (t) => {
  let goOn = () => {}
  const waits = () => new Promise<void>((done) => (goOn = done))
  const stage = await startArbiter(withHooks({ on_starting: waits }))
  await stage.system.deliverSignal('TERM')
  t.is(await stage.status, 0)
  goOn()
  await runQueued()
  t.deepEqual(
    stage.log.filter((line) => line.includes('Listening')),
    [],
  )
})

test('an on_starting hook that rejects ends the start with exit status 1', async (t) => {
  const stage = await startArbiter(withHooks({ on_starting: fails }))
  t.is(await stage.status, 1)
  t.regex(stage.log.join('\n'), /the hook on_starting failed:\nTypeError: thrown by a hook/)
})

test('a worker hook that is a function needs a config file', async (t) => {
  await t.throwsAsync(startArbiter(withHooks({ post_fork() {} })), {
    code: 'ERR_HOOK_FUNCTION',
    message: /the hook post_fork runs in workers: define it in a config file/,
  })
})

test('workers start after the promise of when_ready has resolved', async (t) => {
  let goOn = () => {}
  const waits = () => new Promise<void>((done) => (goOn = done))
  const stage = await startArbiter(withHooks({ when_ready: waits }))
  t.true(stage.log.some((line) => line.includes('Listening at')))
  t.is(stage.system.children.length, 0)
  goOn()
  await runQueued()
  t.is(stage.system.children.length, 2)
})

test('a when_ready hook that rejects ends the start with exit status 1', async (t) => {
  const stage = await startArbiter(withHooks({ when_ready: fails }))
  t.is(await stage.status, 1)
  t.is(stage.system.children.length, 0)
  t.regex(stage.log.join('\n'), /the hook when_ready failed:\nTypeError: thrown by a hook/)
})

test('an on_reload hook that rejects fails the reload', async (t) => {
  const stage = await startArbiter(withHooks({ on_reload: fails }))
  await makeAllReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:8000', '127.0.0.1:9000'] }
  await stage.system.deliverSignal('HUP')
  t.is(stage.log.at(-1), FAILED)
  t.is(stage.system.children.length, 2)
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:9000'])
})

test('a config file or on_reload that never finishes fails after boot_timeout', async (t) => {
  const stage = await startArbiter({ boot_timeout: 20 })
  await makeAllReady(stage)
  for (const nextLoad of ['never' as const, withHooks({ on_reload: never })]) {
    stage.log.length = 0
    stage.nextLoad = nextLoad
    await stage.system.deliverSignal('HUP')
    await stage.system.advance(19_000)
    t.false(stage.log.includes(FAILED))
    await stage.system.advance(1_100)
    t.regex(stage.log.join('\n'), /did not finish within boot_timeout \(20s\)/)
    t.is(stage.log.at(-1), FAILED)
  }
  stage.nextLoad = {}
  await stage.system.deliverSignal('HUP')
  t.is(stage.system.children.length, 3)
})

test('a reload whose application fails restores the old hooks', async (t) => {
  const called: string[] = []
  const pre = (name: string) => withHooks({ pre_fork: () => void called.push(name) })
  const stage = await startArbiter({ workers: 1, ...pre('old') })
  await makeAllReady(stage)
  stage.nextLoad = pre('new')
  await stage.system.deliverSignal('HUP')
  stage.system.children[1]?.exit({ code: 1 })
  await runQueued()
  stage.system.children[0]?.exit({ signal: 'KILL' })
  await runQueued()
  t.deepEqual(called, ['old', 'new', 'old'])
})

test('a reload whose log files cannot be created fails before a worker starts', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  stage.prepareLogsError = new TypeError('no such directory')
  await stage.system.deliverSignal('HUP')
  t.is(stage.system.children.length, 2)
  t.regex(stage.log.join('\n'), /no such directory/)
  t.is(stage.log.at(-1), FAILED)
})

test('INT stops waiting for the promise of on_exit', async (t) => {
  const stage = await startArbiter(withHooks({ on_exit: never, workers: 1 }))
  await makeAllReady(stage)
  await stage.system.deliverSignal('TERM')
  stage.system.children[0]?.exit({ code: 0 })
  await runQueued()
  await stage.system.deliverSignal('INT')
  t.is(await stage.status, 0)
})
