// Failures of a reload on the fake system: it is not tried again, and the old workers keep serving.

import test from 'ava'

import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

const FAILED = 'error Reload failed; the old workers keep serving'

for (const signal of ['KILL', 'TERM']) {
  test(`a reload fails if ${signal} kills its first worker during the boot`, async (t) => {
    const stage = await startArbiter({ workers: 1 })
    const { system } = stage
    await makeAllReady(stage)
    await system.deliverSignal('HUP')
    system.children[1]?.exit({ signal })
    await runQueued()
    t.is(system.children.length, 2)
    const logged = stage.log.join('\n')
    t.true(logged.includes(`did not become ready: was sent SIG${signal}.`))
    t.is(stage.log.at(-1), FAILED)
    // The failure does not delay successors of the workers that serve.
    t.notRegex(logged, /exit too soon/)
    system.children[0]?.exit({ signal: 'KILL' })
    await runQueued()
    t.is(system.running.length, 1)
    await makeAllReady(stage)
    await system.deliverSignal('HUP')
    t.is(system.running.length, 2)
  })
}

test('a reload fails if its first worker is asked to stop during the boot', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await makeAllReady(stage)
  await system.deliverSignal('HUP')
  system.children[1]?.sendMessage({ type: 'signaled', signal: 'TERM' })
  await runQueued()
  t.is(stage.log.at(-1), FAILED)
  system.children[1]?.exit({ code: 0 })
  await system.advance(60_000)
  t.is(system.children.length, 2)
})

test('a reload to more workers than the scoreboard has slots logs a warning', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  stage.nextLoad = { workers: 33 }
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  t.true(stage.log.includes('warning workers stays at 30: 33 is not between 1 and 30'))
})
