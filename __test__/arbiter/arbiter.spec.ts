// The arbiter on a fake system: what it does with each signal, message and death.

import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { allReady, type FakeChild, type Stage, settle, startArbiter } from './fake-system.ts'

test('a start spawns the wanted workers, each with a slot of its own', async (t) => {
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

test('no more workers boot at a time than there are processors', async (t) => {
  const stage = await startArbiter({ workers: 8 }, { processorCount: 4 })
  t.is(stage.system.children.length, 4)
  stage.system.children[0]?.says({ type: 'ready', engine: 'none' })
  await settle()
  t.is(stage.system.children.length, 5)
  // Those that wait for something keep no processor.
  await stage.system.pass(1_100)
  t.is(stage.system.children.length, 8)
  t.deepEqual(sent(stage).flat(), [])
})

test('TERM asks the workers to finish, and ends with 0 when all have', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  await stage.system.signal('TERM')
  t.deepEqual(sent(stage), [['TERM'], ['TERM']])
  // Nobody follows: idle connections are not waited for.
  for (const { received } of stage.system.children)
    t.deepEqual(received.at(-1), { type: 'shortenDrain' })
  t.deepEqual(stage.closed, ['127.0.0.1:8000'])
  await endAll(stage)
  t.is(await stage.status, 0)
})

test('a worker that does not finish within graceful_timeout is killed', async (t) => {
  const stage = await startArbiter({ workers: 1, graceful_timeout: 5 })
  await allReady(stage)
  await stage.system.signal('TERM')
  await stage.system.pass(5_400)
  t.deepEqual(sent(stage), [['TERM']])
  await stage.system.pass(200)
  t.deepEqual(sent(stage), [['TERM', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('INT quits at once; during a graceful stop it leaves two seconds, a second TERM nothing', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  await stage.system.signal('TERM')
  await stage.system.signal('TERM')
  await stage.system.signal('HUP')
  t.deepEqual(sent(stage), [['TERM']])
  await stage.system.signal('INT')
  t.deepEqual(sent(stage), [['TERM', 'QUIT']])
  await stage.system.pass(2_000)
  t.deepEqual(sent(stage), [['TERM', 'QUIT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('INT gives a worker that is blocked two seconds, and no more for a second INT', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  await stage.system.signal('INT')
  await stage.system.pass(1_500)
  await stage.system.signal('INT')
  await stage.system.pass(600)
  t.deepEqual(sent(stage), [['QUIT', 'QUIT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 0)
})

test('HUP replaces one worker after the other, each successor ready first', async (t) => {
  const stage = await startArbiter()
  const { system } = stage
  await allReady(stage)
  const [a, b] = system.children
  await system.signal('HUP')
  t.is(system.children.length, 3)
  t.deepEqual(sent(stage), [[], [], []])
  await allReady(stage)
  t.deepEqual(sent(stage), [['TERM'], [], []])
  t.is(a?.received.at(-1)?.type, 'boot')
  // The next successor waits until the first old worker has gone.
  await system.pass(3_000)
  t.is(system.children.length, 3)
  await end(a)
  t.is(system.children.length, 4)
  await allReady(stage)
  await end(b)
  t.is(system.living.length, 2)
  t.true(stage.log.some((line) => line.includes('Reload complete')))
})

test('a reload goes on when the old worker has only slow requests left', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  await stage.system.signal('HUP')
  const [old] = stage.system.children
  await allReady(stage)
  const holds = (inFlight: number, requests: number) =>
    old?.says({ type: 'heartbeat', counters: { connections: inFlight, inFlight, requests } })
  holds(2, 7)
  await stage.system.pass(3_000)
  // One of the two is answered, and another has come on its connection.
  holds(2, 8)
  await stage.system.pass(4_900)
  t.is(stage.system.children.length, 3)
  await stage.system.pass(1_200)
  t.is(stage.system.children.length, 4)
})

test('a stop during a reload hastens the worker that already leaves', async (t) => {
  const stage = await startArbiter()
  const [a] = stage.system.children
  await allReady(stage)
  await stage.system.signal('HUP')
  await allReady(stage)
  t.deepEqual(a?.signals, ['TERM'])
  await stage.system.signal('TERM')
  t.deepEqual([a?.signals, a?.received.at(-1)], [['TERM'], { type: 'shortenDrain' }])
  await endAll(stage)
  t.is(await stage.status, 0)
})

test('a reload may replace several at a time', async (t) => {
  const stage = await startArbiter({ workers: 4, max_surge: 2 })
  await allReady(stage)
  await stage.system.signal('HUP')
  t.is(stage.system.living.length, 5)
  await allReady(stage)
  t.is(stage.system.children.length, 6)
  await end(stage.system.children[0])
  await allReady(stage)
  for (const child of stage.system.children.slice(1, 4)) {
    t.true(stage.system.living.length <= 6)
    await end(child)
    await allReady(stage)
  }
  t.is(stage.system.living.length, 4)
  t.true(stage.log.includes('info Reload complete: all workers are new'))
})

test('HUP during a reload is done once, after it', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await allReady(stage)
  for (let count = 0; count < 3; count += 1) await system.signal('HUP')
  t.is(system.children.length, 2)
  await allReady(stage)
  await end(system.children[0])
  t.is(system.children.length, 3)
  await allReady(stage)
  await end(system.children[1])
  t.is(system.children.length, 3)
})

test('settings that cannot be read leave everything as it is', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  stage.nextLoad = new TypeError('no such setting')
  await stage.system.signal('HUP')
  t.is(stage.system.children.length, 2)
  t.deepEqual(sent(stage), [[], []])
  t.true(stage.log.some((line) => line.includes('no such setting')))
  t.true(stage.log.includes('error Reload failed; the old workers keep serving'))
})

test('an application that fails in a reload leaves the old workers and their addresses', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:8000', '127.0.0.1:9000'], workers: 5 }
  await stage.system.signal('HUP')
  await fail(stage.system.children[2], 3)
  t.deepEqual(sent(stage).slice(0, 2), [[], []])
  t.is(stage.system.living.length, 2)
  t.deepEqual(stage.closed, ['127.0.0.1:9000'])
  await stage.system.pass(60_000)
  t.is(stage.system.children.length, 3)
})

test('a reload takes the new number of workers and closes what is bound no more', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  stage.nextLoad = { bind: ['127.0.0.1:9000'], workers: 3 }
  await stage.system.signal('HUP')
  await allReady(stage)
  t.deepEqual(stage.closed, [])
  await end(stage.system.children[0])
  await allReady(stage)
  await allReady(stage)
  t.is(stage.system.living.length, 3)
  t.deepEqual(stage.closed, ['127.0.0.1:8000'])
})

test('TTIN and TTOU move the number of workers, the oldest goes first, one stays', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  await stage.system.signal('TTIN')
  await stage.system.signal('TTIN')
  t.is(stage.system.children.length, 3)
  await allReady(stage)
  for (let count = 0; count < 4; count += 1) await stage.system.signal('TTOU')
  t.deepEqual(sent(stage), [['TERM'], ['TERM'], []])
})

test('TTIN beyond the slots is refused', async (t) => {
  const stage = await startArbiter({ workers: 30 })
  await allReady(stage)
  await stage.system.signal('TTIN')
  t.is(stage.system.children.length, 30)
  t.true(stage.log.some((line) => line.includes('31 is not between 1 and 30')))
})

test('a silent worker is aborted, then killed, then replaced', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  const { system } = stage
  const [worker] = system.children
  const beat = () =>
    worker?.says({ type: 'heartbeat', counters: { connections: 0, inFlight: 0, requests: 0 } })
  await allReady(stage)
  for (let second = 0; second < 5; second += 1) {
    beat()
    await settle()
    await system.pass(1_000)
  }
  t.deepEqual(worker?.signals, [])
  await system.pass(3_000)
  t.true(stage.log.some((line) => /critical WORKER TIMEOUT .*> timeout 3s/.test(line)))
  t.is(system.living.length, 2, 'its successor boots while its watcher is asked')
  t.deepEqual(worker?.signals, [])
  await system.pass(1_500)
  t.deepEqual(worker?.signals, ['ABRT'])
  await system.pass(2_000)
  t.deepEqual(worker?.signals, ['ABRT', 'KILL'])
  await end(worker, { signal: 'KILL' })
  await system.pass(1_100)
  t.is(system.living.length, 1)
})

test('what the watcher found is said before a blocked worker is aborted', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  const { system } = stage
  const [worker] = system.children
  await allReady(stage)
  await system.pass(3_100)
  const stack = 'Error\n    at <anonymous>:1:1\n    at spin (/app/app.js:4:10)'
  const requests = [{ request: 'GET /spin', ageMs: 3_000 }]
  const found = { type: 'blocked', call: null, requests } as const
  worker?.says({ ...found, final: false, stack: null })
  await system.pass(4_000)
  t.deepEqual(worker?.signals, [], 'native code is waited for')
  worker?.says({ ...found, final: true, stack })
  await settle()
  t.deepEqual(worker?.signals, ['ABRT'])
  const said = stage.log.join('\n')
  t.regex(said, /blocked in JavaScript:\n {4}at spin \(\/app\/app\.js:4:10\)\n/)
  t.regex(said, /has requests in flight: GET \/spin for 3s/)
})

test('a kill that the control group counts is named', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  const { system } = stage
  await allReady(stage)
  system.oomKills = 1
  await end(system.children[0], { signal: 'KILL' })
  t.regex(stage.log.join('\n'), /SIGKILL! The kernel killed it: its control group is out of memory/)
  await allReady(stage)
  await end(system.children[1], { signal: 'KILL' })
  t.regex(stage.log.join('\n'), /SIGKILL! Perhaps out of memory\?/)
})

test('an arbiter that was stopped itself calls nobody silent on its first look', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  const { system } = stage
  await allReady(stage)
  system.freeze(60_000)
  await system.pass(0)
  t.deepEqual(sent(stage), [[]])
})

test('a start whose application fails ends with its exit status and one message', async (t) => {
  for (const exit of [3, 4]) {
    const stage = await startArbiter()
    const [first, second] = stage.system.children
    first?.says({ type: 'bootFailed', code: 'ERR', message: 'it is broken', exitStatus: exit })
    second?.says({ type: 'bootFailed', code: 'ERR', message: 'it is broken', exitStatus: exit })
    await settle()
    await end(first, { code: exit })
    await end(second, { code: exit })
    t.is(await stage.status, exit)
    t.is(stage.log.filter((line) => line.includes('it is broken')).length, 1)
    const reason = exit === 4 ? 'App failed to load.' : 'Worker failed to boot.'
    t.is(stage.log.at(-1), `error Reason: ${reason}`)
  }
})

test('a worker that is not ready within boot_timeout ends the start with 3', async (t) => {
  const stage = await startArbiter({ workers: 1, boot_timeout: 10 })
  await stage.system.pass(10_000)
  t.deepEqual(sent(stage), [['ABRT', 'KILL']])
  await endAll(stage, { signal: 'KILL' })
  t.is(await stage.status, 3)
})

test('once a worker was ready, one that fails to boot is tried again after growing pauses', async (t) => {
  const stage = await startArbiter()
  const { system } = stage
  system.children[0]?.says({ type: 'ready', engine: 'none' })
  await settle()
  await fail(system.children[1], 3)
  t.is(system.children.length, 2)
  await system.pass(1_000)
  t.is(system.children.length, 3)
  await fail(system.children[2], 3)
  await system.pass(1_900)
  t.is(system.children.length, 3)
  await system.pass(200)
  t.is(system.children.length, 4)
})

test('a death by another signal is a warning', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  await end(stage.system.children[0], { signal: 'SEGV' })
  const pid = stage.system.children[0]?.pid
  t.true(stage.log.includes(`warning Worker (pid:${pid}) was sent SIGSEGV!`))
})

test('a death from outside is replaced at once, in the same slot', async (t) => {
  const stage = await startArbiter()
  await allReady(stage)
  await end(stage.system.children[0], { signal: 'KILL' })
  t.is(stage.system.children[2]?.slot, '1')
  t.true(stage.log.some((line) => line.includes('was sent SIGKILL! Perhaps out of memory?')))
})

test('a worker that leaves because somebody told it to has its successor while it drains', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await allReady(stage)
  stage.system.children[0]?.says({ type: 'signaled', signal: 'TERM' })
  await settle()
  t.is(stage.system.children.length, 2)
  t.is(stage.system.children[1]?.slot, '2')
})

test('max_requests replaces one worker at a time, its successor first', async (t) => {
  const stage = await startArbiter({ max_requests: 10, max_requests_jitter: 4 })
  const { system } = stage
  await allReady(stage)
  const counters = { connections: 0, inFlight: 0, requests: 11 }
  for (const child of system.children) child.says({ type: 'heartbeat', counters })
  await system.pass(1_000)
  t.is(system.children.length, 2)
  for (const child of system.children) {
    child.says({ type: 'heartbeat', counters: { ...counters, requests: 12 } })
  }
  await system.pass(1_000)
  t.is(system.children.length, 3)
  t.deepEqual(sent(stage), [[], [], []])
  await allReady(stage)
  t.deepEqual(sent(stage), [['TERM'], [], []])
})

function sent({ system }: Stage): string[][] {
  return system.children.map(({ signals }) => signals)
}

async function end(child: FakeChild | undefined, exit: object = { code: 0 }): Promise<void> {
  child?.ends(exit)
  await settle()
}

async function endAll({ system }: Stage, exit: object = { code: 0 }): Promise<void> {
  for (const child of system.living) await end(child, exit)
}

async function fail(child: FakeChild | undefined, exit: number): Promise<void> {
  child?.says({ type: 'bootFailed', code: 'ERR', message: 'broken', exitStatus: exit })
  await settle()
  await end(child, { code: exit })
}
