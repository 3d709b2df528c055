// What can go wrong in a reload, on a fake system: it fails once and for all, and the old workers serve on.

import test from 'ava'

import { allReady, settle, startArbiter } from './fake-system.ts'

const FAILED = 'error Reload failed; the old workers keep serving'

for (const signal of ['KILL', 'TERM']) {
  test(`a trial that ${signal} ends while it boots is not tried again`, async (t) => {
    const stage = await startArbiter({ workers: 1 })
    const { system } = stage
    await allReady(stage)
    await system.signal('HUP')
    system.children[1]?.ends({ signal })
    await settle()
    t.is(system.children.length, 2)
    const said = stage.log.join('\n')
    t.true(said.includes(`did not become ready: was sent SIG${signal}.`))
    t.is(stage.log.at(-1), FAILED)
    // It says nothing about the workers that serve: their successors wait for nothing.
    t.notRegex(said, /exit too soon/)
    system.children[0]?.ends({ signal: 'KILL' })
    await settle()
    t.is(system.living.length, 1)
    await allReady(stage)
    await system.signal('HUP')
    t.is(system.living.length, 2)
  })
}

test('a trial that is told to leave while it boots ends the reload', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await allReady(stage)
  await system.signal('HUP')
  system.children[1]?.says({ type: 'signaled', signal: 'TERM' })
  await settle()
  t.is(stage.log.at(-1), FAILED)
  system.children[1]?.ends({ code: 0 })
  await system.pass(60_000)
  t.is(system.children.length, 2)
})

test('more workers than the scoreboard has room for are refused with a line', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  stage.nextLoad = { workers: 33 }
  await stage.system.signal('HUP')
  await allReady(stage)
  t.true(stage.log.includes('warning workers stays at 30: 33 is not between 1 and 30'))
})
