// The commands of the control socket in the arbiter's loop, on a fake system.

import test from 'ava'

import type { DiagnosisResult } from '../../ts/messages.ts'
import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

test('a reload that cannot read the settings is answered with the reason', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  stage.nextLoad = new Error('no such file')
  const answer = await stage.command('reload')
  t.deepEqual(answer, {
    ok: false,
    error: 'reload failed; the old workers keep serving: no such file',
  })
})

test('a reload during a reload is answered with the outcome of the next one', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  const first = stage.command('reload')
  await runQueued()
  const answers: string[] = []
  void first.then(() => answers.push('first'))
  const second = stage.command('reload').then(() => answers.push('second'))
  await makeAllReady(stage)
  await runQueued()
  for (const child of stage.system.running.slice(0, 1)) child.exit({ code: 0 })
  await runQueued()
  t.like(await first, { ok: true })
  t.deepEqual(answers, ['first'])
  await makeAllReady(stage)
  for (const child of stage.system.running.slice(0, 1)) child.exit({ code: 0 })
  await second
  t.deepEqual(answers, ['first', 'second'])
})

test('a scale whose workers do not start is answered at its limit', async (t) => {
  const stage = await startArbiter({ workers: 1, boot_timeout: 60, graceful_timeout: 30 })
  await makeAllReady(stage)
  const answer = stage.command('scale', '2')
  await runQueued()
  // The worker is killed at boot_timeout; the next ones are as slow.
  await stage.system.advance(269_000)
  const early = await Promise.race([answer, runQueued()])
  t.is(early, undefined)
  await stage.system.advance(2_000)
  t.deepEqual(await answer, { ok: false, error: '1 of 2 workers serve; see workers and logs' })
})

test('while the arbiter stops, reload and scale are refused and status answers', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  const reload = stage.command('reload')
  await runQueued()
  await stage.system.deliverSignal('TERM')
  t.deepEqual(await reload, { ok: false, error: 'the server is stopping' })
  t.deepEqual(await stage.command('reload'), { ok: false, error: 'the arbiter is stopping' })
  t.deepEqual(await stage.command('scale', '+1'), { ok: false, error: 'the server is stopping' })
  t.like(await stage.command('status'), { ok: true, data: { phase: 'stopping' } })
})

test('a worker that stops already is not stopped again', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  const [worker] = stage.system.children
  const pid = String(worker?.pid)
  void stage.command('worker', 'kill', pid)
  await runQueued()
  t.deepEqual(worker?.signals, ['TERM'])
  const answer = await stage.command('worker', 'kill', pid)
  t.deepEqual(answer, { ok: false, error: `worker ${pid} is draining already` })
})

test('timeout spares a worker that writes a heap snapshot or is open to a debugger', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 30 })
  await makeAllReady(stage)
  const [worker] = stage.system.children
  const pid = String(worker?.pid)
  const snapshot = stage.command('heap-snapshot', pid)
  await runQueued()
  await stage.system.advance(120_000)
  const asked = worker?.received.find((message) => message.type === 'diagnose')
  t.like(asked, { diagnosis: { kind: 'heapSnapshot' } })
  const answer = (id: number, result: DiagnosisResult) => {
    worker?.sendMessage({ type: 'diagnosed', id, result })
    const counters = { connections: 0, inFlight: 0, requests: 0 }
    worker?.sendMessage({ type: 'heartbeat', counters })
  }
  answer(1, { kind: 'file', path: '/tmp/x', bytes: 5 })
  t.like(await snapshot, { ok: true, data: { path: '/tmp/x', bytes: 5 } })
  const inspect = stage.command('inspect', pid)
  await runQueued()
  answer(2, { kind: 'inspect', url: 'ws://127.0.0.1:1/' })
  t.like(await inspect, { ok: true })
  await stage.system.advance(300_000)
  t.deepEqual(worker?.signals, [])
  const close = stage.command('inspect', pid, 'off')
  await runQueued()
  answer(3, { kind: 'inspect', url: null })
  t.like(await close, { ok: true })
  await stage.system.advance(60_000)
  t.deepEqual(worker?.signals, ['ABRT', 'KILL'])
})

test('top shows a busy worker by its previous report, and a silent one without', async (t) => {
  const stage = await startArbiter({ workers: 2 })
  await makeAllReady(stage)
  const [first, second] = stage.system.children
  const report = (activeMs: number, idleMs: number) => {
    const memory = { heapTotal: 1, heapUsed: 1, external: 1 }
    const runtime = { ...memory, activeResources: 1, lagSeconds: 0, activeMs, idleMs }
    first?.sendMessage({ type: 'metrics', runtime })
  }
  const top = async (answer: () => void) => {
    const answered = stage.command('top')
    await runQueued()
    answer()
    await stage.system.advance(1_000)
    return answered
  }
  const shows = (utilization: number) => ({
    ok: true,
    data: { workers: [{ utilization }, { utilization: null }] },
  })
  t.like(await top(() => report(500, 500)), shows(0.5))
  t.like(await top(() => {}), shows(0.5))
  await stage.system.advance(1_000)
  t.like(await top(() => report(1_400, 600)), shows(0.9))
  // The silent worker was asked once more, and not each second: it would answer them all at once.
  const asked = second?.received.filter(({ type }) => type === 'collectMetrics')
  t.is(asked?.length, 2)
})

test('stats has the reloads that the metrics have', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  const reload = stage.command('reload')
  await runQueued()
  await makeAllReady(stage)
  for (const child of stage.system.running.slice(0, 1)) child.exit({ code: 0 })
  t.like(await reload, { ok: true })
  stage.nextLoad = new Error('no such file')
  t.like(await stage.command('reload'), { ok: false })
  t.like(await stage.command('stats'), { ok: true, data: { reloads: { complete: 1, failed: 1 } } })
  t.like(await stage.command('status'), { ok: true, data: { lastReload: 'failed' } })
})

test('a worker that exits during a profile ends the command', async (t) => {
  const stage = await startArbiter({ workers: 1 })
  await makeAllReady(stage)
  const [worker] = stage.system.children
  const profile = stage.command('profile', String(worker?.pid), '--seconds', '60')
  await runQueued()
  worker?.exit({ signal: 'SEGV' })
  t.deepEqual(await profile, { ok: false, error: `worker ${worker?.pid} has exited` })
})
