// The status page of the real command: its head, its data, and the reasons of restarts and reloads.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import type { ServerStatus } from '../../ts/arbiter/monitoring/status-pages.ts'
import { appSource, ENGINES, get, serveArgs, startProgram, until } from './program.ts'

async function start(t: ExecutionContext, engine: string) {
  const args = serveArgs(engine, '-w', '2', '--metrics-bind', '127.0.0.1:0')
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args })
  await program.ready(2)
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const found = await until(() => pattern.exec(program.log)?.[1], 'the page of metrics')
  const port = Number(found)
  const read = async (query = ''): Promise<ServerStatus> => {
    const { body } = await get({ port, path: `/status.json${query}` })
    return JSON.parse(body)
  }
  return { program, port, read }
}

test.serial('the page is HTML with a policy, for GET and HEAD only', async (t) => {
  const { port } = await start(t, 'auto')
  const page = await get({ port, path: '/' })
  t.is(page.status, 200)
  t.is(page.headers['content-type'], 'text/html; charset=utf-8')
  t.regex(String(page.headers['content-security-policy']), /^default-src 'none'; .*'sha256-/)
  t.is(page.headers['x-content-type-options'], 'nosniff')
  t.is(page.headers['cache-control'], 'no-store')
  t.regex(page.body, /^<!doctype html>/)
  const head = await get({ port, path: '/', method: 'HEAD' })
  t.deepEqual([head.status, head.body], [200, ''])
  t.is((await get({ port, path: '/status.json', method: 'POST' })).status, 405)
})

for (const engine of ENGINES) {
  test.serial(`${engine}: the data has the server, its workers and the samples`, async (t) => {
    const { program, read, port } = await start(t, engine)
    for (let count = 0; count < 5; count += 1) await program.get('/slow/10')
    const status = await until(async () => {
      const found = await read()
      return found.history.columns.requests.some((rate) => rate > 0) ? found : undefined
    }, 'the requests in the history')
    const { headers } = await get({ port, path: '/status.json' })
    t.is(headers['content-type'], 'application/json; charset=utf-8')
    t.is(status.pid, program.pid)
    t.true(status.isReady)
    t.is(status.isNative, engine === 'native')
    t.deepEqual([status.generation, status.wantedWorkers, status.app], [1, 2, 'app.cjs'])
    t.true(status.at >= status.startedAt)
    t.deepEqual(status.events, [])
    t.deepEqual(
      status.workers.map(({ slot, pid, state }) => [slot, pid, state]),
      program.workers().map((pid, index) => [index + 1, pid, 'serving']),
    )
    for (const worker of status.workers) {
      t.true(worker.uptime > 0)
      t.true(worker.requestRate !== null && worker.requestRate >= 0)
      t.true(worker.utilization !== null && worker.utilization <= 1)
      t.true(process.platform !== 'linux' || (worker.memory ?? 0) > 1_000_000)
    }
    const isKnown = (name: 'p50' | 'p99' | 'queueP99') =>
      status.history.columns[name].some((value) => value !== null)
    for (const name of ['p50', 'p99', 'queueP99'] as const) {
      t.is(isKnown(name), engine === 'native', name)
    }
    const { end } = status.history
    const later = await until(async () => {
      const { history } = await read(`?since=${end}`)
      return history.end > end ? history : undefined
    }, 'the next sample')
    t.is(later.start, end)
    t.is(later.columns.inFlight.length, later.end - end)
  })
}

test.serial('restarts and reloads are listed with their reasons', async (t) => {
  const { program, read } = await start(t, 'auto')
  const [victim = 0] = program.workers()
  process.kill(victim, 'SIGKILL')
  const eventAfter = (count: number) =>
    until(async () => (await read()).events.at(-1 - count), `event ${count + 1}`)
  const killed = await eventAfter(0)
  t.deepEqual([killed.kind, killed.reason], ['restart', 'crash'])
  t.is(killed.detail, `worker 1 (pid: ${victim}) was sent SIGKILL`)
  t.true(Math.abs(killed.at - Date.now() / 1_000) < 60)
  await until(() => program.workers().length === 2, 'the successor')
  program.signal('SIGHUP')
  const reload = await until(async () => {
    return (await read()).events.find(({ kind }) => kind === 'reload')
  }, 'the reload')
  t.deepEqual([reload.reason, reload.detail], ['succeeded', 'all workers have generation 2'])
  const reasons = (await read()).events.map(({ reason }) => reason)
  t.deepEqual(reasons, ['succeeded', 'reload', 'reload', 'crash'])
  writeFileSync(join(program.directory, 'app.cjs'), 'throw new Error("no database")')
  program.signal('SIGHUP')
  const failed = await until(async () => {
    return (await read()).events.find(
      ({ kind, reason }) => kind === 'reload' && reason === 'failed',
    )
  }, 'the failed reload')
  t.regex(failed.detail, /^the old workers keep serving: .*/)
  t.true((await read()).isReady)
})
