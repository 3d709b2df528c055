// `reload` on the fake system: the old workers end before new ones start, and a failure is said once.

import test from 'ava'

import { allReady, settle, startArbiter } from './fake-system.ts'

test('a change ends all workers; each successor waits until they have ended', async (t) => {
  const stage = await startArbiter({ workers: 2, reload: true })
  await allReady(stage)
  const [first, second] = stage.system.children
  stage.change('/app/a.js')
  await settle()
  t.deepEqual(first?.received.at(-1), { type: 'restart' })
  t.deepEqual(second?.received.at(-1), { type: 'restart' })
  t.true(stage.log.includes('info Worker reloading: /app/a.js modified'))
  first?.ends({ code: 0 })
  await settle()
  t.is(stage.system.children.length, 2)
  second?.ends({ code: 0 })
  await settle()
  t.is(stage.system.living.length, 2)
  t.deepEqual(
    stage.system.living.map(({ slot }) => slot),
    ['1', '2'],
  )
})

test('a worker that does not end after a change is killed within a second', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  await allReady(stage)
  stage.change('/app/a.js')
  await settle()
  await stage.system.pass(1_000)
  t.deepEqual(stage.system.children[0]?.signals, ['KILL'])
})

test('a change while workers boot starts them anew, without a pause', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  stage.change('/app/a.js')
  await settle()
  stage.system.children[0]?.ends({ code: 0 })
  await settle()
  t.is(stage.system.living.length, 1)
})

test('what workers have loaded is watched, and what ails them all is said once', async (t) => {
  const stage = await startArbiter({ workers: 2, reload: true })
  for (const child of stage.system.children) {
    child.says({ type: 'loaded', files: ['/app/a.js'], isComplete: false, failure: 'it is broken' })
  }
  await settle()
  t.deepEqual(stage.watched, ['/app/a.js', '/app/a.js'])
  t.is(stage.log.filter((line) => line === 'error it is broken').length, 1)
})

test('a reload that turns it off ends the watch', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  await allReady(stage)
  stage.nextLoad = { reload: false }
  await stage.system.signal('HUP')
  await allReady(stage)
  t.deepEqual(stage.watched, ['closed'])
})

test('a watch that cannot begin is said once, and all else goes on', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  stage.noWatch = new Error('no watcher is installed')
  stage.nextLoad = { reload: true }
  await stage.system.signal('HUP')
  await allReady(stage)
  for (const child of stage.system.living) {
    child.says({ type: 'loaded', files: ['/app/a.js'], isComplete: true })
  }
  await settle()
  const said = stage.log.filter((line) => line.includes('Cannot watch for changes'))
  t.deepEqual(said, ['error Cannot watch for changes: Error: no watcher is installed'])
  t.true(stage.system.living.length > 0)
})
