// The setting `reload` on the fake system: the old workers exit before new ones start, and a
// failure is logged once.

import test from 'ava'
import { usesLog } from '../uses.ts'
import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

test('a source change stops all workers before their successors start', async (t) => {
  const stage = await startArbiter({ workers: 2, reload: true })
  await makeAllReady(stage)
  const [first, second] = stage.system.children
  stage.changeFiles('/app/a.js')
  await runQueued()
  t.deepEqual(first?.received.at(-1), { type: 'restart' })
  t.deepEqual(second?.received.at(-1), { type: 'restart' })
  t.true(stage.log.includes('info Worker reloading: /app/a.js modified'))
  first?.exit({ code: 0 })
  await runQueued()
  t.is(stage.system.children.length, 2)
  second?.exit({ code: 0 })
  await runQueued()
  t.is(stage.system.running.length, 2)
  t.deepEqual(
    stage.system.running.map(({ slot }) => slot),
    ['1', '2'],
  )
})

test('a worker that does not exit after a source change is killed within a second', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  await makeAllReady(stage)
  stage.changeFiles('/app/a.js')
  await runQueued()
  await stage.system.advance(1_000)
  t.deepEqual(stage.system.children[0]?.signals, ['KILL'])
})

test('a source change during the boot restarts the workers without a delay', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  stage.changeFiles('/app/a.js')
  await runQueued()
  stage.system.children[0]?.exit({ code: 0 })
  await runQueued()
  t.is(stage.system.running.length, 1)
})

test('the files that workers load are watched, and a failure is logged once', async (t) => {
  const stage = await startArbiter({ workers: 2, reload: true })
  for (const child of stage.system.children) {
    child.sendMessage({
      type: 'loaded',
      files: ['/app/a.js'],
      isComplete: false,
      failure: 'it is broken',
    })
  }
  await runQueued()
  t.deepEqual(stage.watchedFiles, ['/app/a.js', '/app/a.js'])
  t.is(stage.log.filter((line) => line === 'error it is broken').length, 1)
})

test('a reload that disables `reload` closes the file watcher', async (t) => {
  const stage = await startArbiter({ workers: 1, reload: true })
  await makeAllReady(stage)
  stage.nextLoad = { reload: false }
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  t.deepEqual(stage.watchedFiles, ['closed'])
})

test('a file watcher that cannot start does not stop the server', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  usesLog(t, () => stage.log.join('\n'))
  await makeAllReady(stage)
  stage.openWatchError = new Error('no watcher is installed')
  stage.nextLoad = { reload: true }
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  for (const child of stage.system.running) {
    child.sendMessage({ type: 'loaded', files: ['/app/a.js'], isComplete: true })
  }
  await runQueued()
  const logged = stage.log.filter((line) => line.includes('Cannot watch for changes'))
  t.deepEqual(logged, ['error Cannot watch for changes: Error: no watcher is installed'])
  t.true(stage.system.running.length > 0)
})
