// The arbiter on a fake system: its reactions to signals, messages and worker exits.

import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { uses, usesLog, usesSignal } from '../uses.ts'
import type { FakeChild } from './fake-processes.ts'
import { makeAllReady, runQueued, type Stage, startArbiter } from './fake-system.ts'

test('a start spawns the wanted number of workers, each in its own slot', async (t) => {
  const stage = await startArbiter({ workers: 3, raw_env: ['A=1=2'] })
  t.deepEqual(
    stage.system.children.map(({ slot }) => slot),
    ['1', '2', '3'],
  )
  const [first] = stage.system.children
  t.like(first?.options.env, { A: '1=2', PORT: '8000', NODE_APP_INSTANCE: '0' })
  t.deepEqual(first?.options.extraFds, ['ignore', native === null ? 'ignore' : 'pipe', 50])
  t.like(first?.received[0], { type: 'boot', slot: 1, listeners: [{ fd: 6 }], isCheck: false })
})

test('at most as many workers boot at the same time as there are processors', async (t) => {
  const stage = await startArbiter({ workers: 8 }, { processorCount: 4 })
  t.is(stage.system.children.length, 4)
  stage.system.children[0]?.sendMessage({ type: 'ready', engine: 'none' })
  await runQueued()
  t.is(stage.system.children.length, 5)
  // Workers that boot for long wait for something, and do not keep a processor busy.
  await stage.system.advance(1_100)
  t.is(stage.system.children.length, 8)
  t.deepEqual(sent(stage).flat(), [])
})

test('TERM stops the workers gracefully, and the arbiter exits with 0', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  await stage.system.deliverSignal('TERM')
  t.deepEqual(sent(stage), [['TERM'], ['TERM']])
  // No worker replaces them: idle connections are closed soon.
  for (const { received } of stage.system.children)
    t.deepEqual(received.at(-1), { type: 'shortenDrain' })
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:8000'])
  await endAll(stage)
  t.is(await stage.status, 0)
})

test('a worker that does not finish within graceful_timeout is killed', async (t) => {
  const stage = await startArbiter(uses(t, { workers: 1, graceful_timeout: 5 }))
  await makeAllReady(stage)
  await stage.system.deliverSignal('TERM')
  await stage.system.advance(5_400)
  t.deepEqual(sent(stage), [['TERM']])
  await stage.system.advance(200)
  t.deepEqual(sent(stage), [['TERM', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('INT limits a graceful stop to two seconds; a second TERM changes nothing', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  await stage.system.deliverSignal('TERM')
  await stage.system.deliverSignal('TERM')
  await stage.system.deliverSignal('HUP')
  t.deepEqual(sent(stage), [['TERM']])
  usesSignal(t, 'INT')
  await stage.system.deliverSignal('INT')
  t.deepEqual(sent(stage), [['TERM', 'QUIT']])
  await stage.system.advance(2_000)
  t.deepEqual(sent(stage), [['TERM', 'QUIT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('INT kills a blocked worker after two seconds, also with a second INT', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  await stage.system.deliverSignal('INT')
  await stage.system.advance(1_500)
  await stage.system.deliverSignal('INT')
  await stage.system.advance(600)
  t.deepEqual(sent(stage), [['QUIT', 'QUIT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('HUP replaces the workers one at a time, each successor ready first', async (t) => {
  const stage = await startArbiter()
  const { system } = stage
  await makeAllReady(stage)
  const [a, b] = system.children
  await system.deliverSignal('HUP')
  t.is(system.children.length, 3)
  t.deepEqual(sent(stage), [[], [], []])
  await makeAllReady(stage)
  t.deepEqual(sent(stage), [['TERM'], [], []])
  t.is(a?.received.at(-1)?.type, 'boot')
  // The next successor waits until the first old worker has exited.
  await system.advance(3_000)
  t.is(system.children.length, 3)
  await end(a)
  t.is(system.children.length, 4)
  await makeAllReady(stage)
  await end(b)
  t.is(system.running.length, 2)
  t.true(stage.log.some((line) => line.includes('Reload complete')))
})

test('a reload does not wait for requests older than five seconds', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  await stage.system.deliverSignal('HUP')
  const [old] = stage.system.children
  await makeAllReady(stage)
  const holds = (inFlight: number, requests: number) =>
    old?.sendMessage({ type: 'heartbeat', counters: { connections: inFlight, inFlight, requests } })
  holds(2, 7)
  await stage.system.advance(3_000)
  // One response is complete, and another request has arrived on its connection.
  holds(2, 8)
  await stage.system.advance(4_900)
  t.is(stage.system.children.length, 3)
  await stage.system.advance(1_200)
  t.is(stage.system.children.length, 4)
})

test('a stop during a reload shortens the drain of the old worker', async (t) => {
  const stage = await startArbiter()
  const [a] = stage.system.children
  await makeAllReady(stage)
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  t.deepEqual(a?.signals, ['TERM'])
  await stage.system.deliverSignal('TERM')
  t.deepEqual([a?.signals, a?.received.at(-1)], [['TERM'], { type: 'shortenDrain' }])
  await endAll(stage)
  t.is(await stage.status, 0)
})

test('a reload with max_surge replaces several workers at the same time', async (t) => {
  const stage = await startArbiter(uses(t, { workers: 4, max_surge: 2 }))
  await makeAllReady(stage)
  await stage.system.deliverSignal('HUP')
  t.is(stage.system.running.length, 5)
  await makeAllReady(stage)
  t.is(stage.system.children.length, 6)
  await end(stage.system.children[0])
  await makeAllReady(stage)
  for (const child of stage.system.children.slice(1, 4)) {
    t.true(stage.system.running.length <= 6)
    await end(child)
    await makeAllReady(stage)
  }
  t.is(stage.system.running.length, 4)
  t.true(stage.log.includes('info Reload complete: all workers are new'))
})

test('repeated HUPs during a reload cause one more reload after it', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await makeAllReady(stage)
  for (let count = 0; count < 3; count += 1) await system.deliverSignal('HUP')
  t.is(system.children.length, 2)
  await makeAllReady(stage)
  await end(system.children[0])
  t.is(system.children.length, 3)
  await makeAllReady(stage)
  await end(system.children[1])
  t.is(system.children.length, 3)
})

test('a reload whose settings cannot be read changes nothing', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  stage.nextLoad = new TypeError('no such setting')
  await stage.system.deliverSignal('HUP')
  t.is(stage.system.children.length, 2)
  t.deepEqual(sent(stage), [[], []])
  t.true(stage.log.some((line) => line.includes('no such setting')))
  t.true(stage.log.includes('error Reload failed; the old workers keep serving'))
})

test('a reload whose application fails keeps the old workers and their addresses', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:8000', '127.0.0.1:9000'], workers: 5 }
  await stage.system.deliverSignal('HUP')
  await fail(stage.system.children[2], 3)
  t.deepEqual(sent(stage).slice(0, 2), [[], []])
  t.is(stage.system.running.length, 2)
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:9000'])
  await stage.system.advance(60_000)
  t.is(stage.system.children.length, 3)
})

test('a reload applies the number of workers and closes unbound addresses', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:9000'], workers: 3 }
  await stage.system.deliverSignal('HUP')
  await makeAllReady(stage)
  t.deepEqual(stage.closedAddresses, [])
  await end(stage.system.children[0])
  await makeAllReady(stage)
  await makeAllReady(stage)
  t.is(stage.system.running.length, 3)
  t.deepEqual(stage.closedAddresses, ['127.0.0.1:8000'])
})

test('TTIN and TTOU change the number of workers; the oldest stops first', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  await stage.system.deliverSignal('TTIN')
  await stage.system.deliverSignal('TTIN')
  t.is(stage.system.children.length, 3)
  await makeAllReady(stage)
  for (let count = 0; count < 4; count += 1) await stage.system.deliverSignal('TTOU')
  t.deepEqual(sent(stage), [['TERM'], ['TERM'], []])
})

test('TTIN beyond the number of scoreboard slots is refused', async (t) => {
  const stage = await startArbiter({ workers: 30 })
  await makeAllReady(stage)
  await stage.system.deliverSignal('TTIN')
  t.is(stage.system.children.length, 30)
  t.true(stage.log.some((line) => line.includes('31 is not between 1 and 30')))
})

test('a worker without a heartbeat is replaced, aborted and then killed', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  usesLog(t, () => stage.log.join('\n'))
  const { system } = stage
  const [worker] = system.children
  const beat = () =>
    worker?.sendMessage({
      type: 'heartbeat',
      counters: { connections: 0, inFlight: 0, requests: 0 },
    })
  await makeAllReady(stage)
  for (let second = 0; second < 5; second += 1) {
    beat()
    await runQueued()
    await system.advance(1_000)
  }
  t.deepEqual(worker?.signals, [])
  await system.advance(3_000)
  t.true(stage.log.some((line) => /critical WORKER TIMEOUT .*> timeout 3s/.test(line)))
  t.is(system.running.length, 2, 'its successor boots while the arbiter waits for the block report')
  t.deepEqual(worker?.signals, [])
  await system.advance(1_500)
  t.deepEqual(worker?.signals, ['ABRT'])
  await system.advance(2_000)
  t.deepEqual(worker?.signals, ['ABRT', 'KILL'])
  await end(worker, { signal: 'KILL' })
  await system.advance(1_100)
  t.is(system.running.length, 1)
})

test('the block report is logged before a blocked worker is aborted', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  usesLog(t, () => stage.log.join('\n'))
  const { system } = stage
  const [worker] = system.children
  await makeAllReady(stage)
  await system.advance(3_100)
  const stack = 'Error\n    at <anonymous>:1:1\n    at spin (/app/app.js:4:10)'
  const requests = [{ request: 'GET /spin', ageMs: 3_000 }]
  const found = { type: 'blocked', systemCall: null, requests } as const
  worker?.sendMessage({ ...found, isFinal: false, stack: null })
  await system.advance(4_000)
  t.deepEqual(worker?.signals, [], 'the arbiter waits for native code to finish')
  worker?.sendMessage({ ...found, isFinal: true, stack })
  await runQueued()
  t.deepEqual(worker?.signals, ['ABRT'])
  const logged = stage.log.join('\n')
  t.regex(logged, /blocked in JavaScript:\n {4}at spin \(\/app\/app\.js:4:10\)\n/)
  t.regex(logged, /has requests in flight: GET \/spin for 3s/)
})

test('a kill that the control group counts is logged as out of memory', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await makeAllReady(stage)
  system.oomKills = 1
  await end(system.children[0], { signal: 'KILL' })
  t.regex(stage.log.join('\n'), /SIGKILL! The kernel killed it: its control group is out of memory/)
  await makeAllReady(stage)
  await end(system.children[1], { signal: 'KILL' })
  t.regex(stage.log.join('\n'), /SIGKILL! Perhaps out of memory\?/)
})

test('a suspended arbiter does not report workers as silent afterwards', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  const { system } = stage
  await makeAllReady(stage)
  system.freeze(60_000)
  await system.advance(0)
  t.deepEqual(sent(stage), [[]])
})

test('a start whose application fails exits with its status and logs one message', async (t) => {
  for (const exit of [3, 4]) {
    const stage = await startArbiter()
    usesLog(t, () => stage.log.join('\n'))
    const [first, second] = stage.system.children
    first?.sendMessage({
      type: 'bootFailed',
      code: 'ERR',
      message: 'it is broken',
      exitStatus: exit,
    })
    second?.sendMessage({
      type: 'bootFailed',
      code: 'ERR',
      message: 'it is broken',
      exitStatus: exit,
    })
    await runQueued()
    await end(first, { code: exit })
    await end(second, { code: exit })
    t.is(await stage.status, exit)
    t.is(stage.log.filter((line) => line.includes('it is broken')).length, 1)
    const reason = exit === 4 ? 'App failed to load.' : 'Worker failed to boot.'
    t.deepEqual(stage.log.slice(-2), ['error Shutting down: Master', `error Reason: ${reason}`])
  }
})

test('a worker that is not ready within boot_timeout fails the start with 3', async (t) => {
  const stage = await startArbiter({ workers: 1, boot_timeout: 10 })
  await stage.system.advance(10_000)
  t.deepEqual(sent(stage), [['ABRT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 3)
})

test('a failed boot of a later worker is retried after increasing delays', async (t) => {
  const stage = await startArbiter()
  const { system } = stage
  system.children[0]?.sendMessage({ type: 'ready', engine: 'none' })
  await runQueued()
  await fail(system.children[1], 3)
  t.is(system.children.length, 2)
  await system.advance(1_000)
  t.is(system.children.length, 3)
  await fail(system.children[2], 3)
  await system.advance(1_900)
  t.is(system.children.length, 3)
  await system.advance(200)
  t.is(system.children.length, 4)
})

test('a worker killed by SIGSEGV is logged as a warning, by SIGTERM at info', async (t) => {
  const stage = await startArbiter()
  usesLog(t, () => stage.log.join('\n'))
  await makeAllReady(stage)
  const [first, second] = stage.system.children
  await end(first, { signal: 'SEGV' })
  await end(second, { signal: 'TERM' })
  t.true(stage.log.includes(`warning Worker (pid:${first?.pid}) was sent SIGSEGV!`))
  t.true(stage.log.includes(`info Worker (pid:${second?.pid}) was sent SIGTERM!`))
})

test('a worker that another process kills is replaced at once in its slot', async (t) => {
  const stage = await startArbiter()
  await makeAllReady(stage)
  await end(stage.system.children[0], { signal: 'KILL' })
  t.is(stage.system.children[2]?.slot, '1')
  t.true(stage.log.some((line) => line.includes('was sent SIGKILL! Perhaps out of memory?')))
})

test('a worker that another process stops gets its successor at once', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  stage.system.children[0]?.sendMessage({ type: 'signaled', signal: 'TERM' })
  await runQueued()
  t.is(stage.system.children.length, 2)
  t.is(stage.system.children[1]?.slot, '2')
})

function sent({ system }: Stage): string[][] {
  return system.children.map(({ signals }) => signals)
}

async function end(child: FakeChild | undefined, exit: object = { code: 0 }): Promise<void> {
  child?.exit(exit)
  await runQueued()
}

async function endAll({ system }: Stage, exit: object = { code: 0 }): Promise<void> {
  for (const child of system.running) await end(child, exit)
}

async function fail(child: FakeChild | undefined, exit: number): Promise<void> {
  child?.sendMessage({ type: 'bootFailed', code: 'ERR', message: 'broken', exitStatus: exit })
  await runQueued()
  await end(child, { code: exit })
}
