// The page of metrics of the real command: its formats, its limits, and counters that clients can
// verify.

import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'

import { needsAddon } from '../requirements.ts'
import { startLoad } from './load.ts'
import { type Answer, appSource, ENGINES, get, serveArgs, startProgram, until } from './program.ts'

const testNative = needsAddon()

/** Starts a server with a page of metrics. */
async function start(t: ExecutionContext, engine: string, { app = appSource('1') } = {}) {
  const args = serveArgs(engine, '-w', '2', '--metrics-bind', '127.0.0.1:0')
  const program = startProgram(t, { files: { 'app.cjs': app }, args })
  await program.ready(2)
  const port = await until(() => METRICS_PORT.exec(program.log)?.[1], 'the page of metrics')
  return { program, port: Number(port) }
}

const METRICS_PORT = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/

/** Every sample of a page by its line without the value. */
function samplesOf({ body }: Answer): Map<string, number> {
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }),
  )
}

async function scrape(port: number, path = '/metrics'): Promise<Map<string, number>> {
  return samplesOf(await get({ port, path }))
}

/** The sum of the samples whose lines match. */
function sumOf(samples: ReadonlyMap<string, number>, pattern: RegExp): number {
  return [...samples].reduce((sum, [line, value]) => (pattern.test(line) ? sum + value : sum), 0)
}

const DURATION = 'http_server_request_duration_seconds'

for (const engine of ENGINES) {
  test.serial(`${engine}: the page counts requests, in both formats`, async (t) => {
    const { program, port } = await start(t, engine)
    for (let count = 0; count < 5; count += 1) await program.get()
    const requests = 'monoceros_requests_total'
    await until(async () => (await scrape(port)).get(requests) === 5, 'five requests')
    const page = await get({ port, path: '/metrics' })
    t.is(page.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    const samples = samplesOf(page)
    t.is(samples.get('monoceros_workers{state="serving"}'), 2)
    t.is(samples.get('http_server_active_requests'), 0)
    t.true((samples.get('nodejs_heap_size_used_bytes') ?? 0) > 0)
    t.is(
      [...samples.keys()].some((line) => line.startsWith(DURATION)),
      engine === 'native',
    )
    const open = await get({
      port,
      path: '/metrics?by=worker',
      headers: { Accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
    })
    t.regex(String(open.headers['content-type']), /^application\/openmetrics-text; version=1\.0\.0/)
    t.true(open.body.endsWith('# EOF\n'))
    t.regex(open.body, /^# TYPE monoceros_requests counter$/m)
    t.regex(open.body, /^http_server_active_requests\{worker="2"\} 0$/m)
  })
}

testNative('the duration has the method, the status code and the protocol', async (t) => {
  const { program, port } = await start(t, 'native')
  await program.get()
  await program.get('/slow/30')
  await program.get('/throw')
  const labels = (status: number) =>
    `http_request_method="GET",http_response_status_code="${status}",network_protocol_version="1.1"`
  const samples = await until(async () => {
    const found = await scrape(port)
    return found.get(`${DURATION}_count{${labels(500)}}`) === 1 ? found : undefined
  }, 'the failed request')
  t.is(samples.get(`${DURATION}_count{${labels(200)}}`), 2)
  t.is(samples.get(`${DURATION}_bucket{${labels(200)},le="0.025"}`), 1)
  t.is(samples.get(`${DURATION}_bucket{${labels(200)},le="+Inf"}`), 2)
  t.is(samples.get('monoceros_request_queue_duration_seconds_count'), 3)
  t.is(samples.get('http_server_response_body_size_bytes_count'), 3)
})

testNative('refused requests are counted by reason', async (t) => {
  const { program, port } = await start(t, 'native')
  await refused(program.port, 'GET / HTTP/1.1\r\n\r\n')
  await refused(program.port, `GET /${'a'.repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const samples = await scrape(port)
  t.is(samples.get('monoceros_rejected_requests_total{reason="malformed"}'), 1)
  t.is(samples.get('monoceros_rejected_requests_total{reason="head_limit"}'), 1)
  t.is(sumOf(samples, /_duration_seconds_count\{http_request.*status_code="4/), 2)
})

testNative('while every worker is blocked, the page is served and current', async (t) => {
  const { program, port } = await start(t, 'native')
  const before = await scrape(port)
  const answers = [1, 2, 3, 4].map(() => program.get('/block/1300'))
  await until(async () => (await scrape(port)).get('http_server_active_requests') === 4, 'a block')
  const startedAt = Date.now()
  const samples = await scrape(port)
  t.true(Date.now() - startedAt < 1_000)
  t.is(samples.get('monoceros_requests_total'), before.get('monoceros_requests_total'))
  const blocked = 'monoceros_event_loop_blocked_seconds_total'
  await until(async () => ((await scrape(port)).get(blocked) ?? 0) > 0, 'the blocked time')
  for (const answer of answers) t.is((await answer).status, 200)
})

testNative(
  'counters are exactly what clients count, over reloads, a kill, an upgrade',
  async (t) => {
    const { program, port } = await start(t, 'native', { app: BLOCKING_APP })
    const stop = startLoad({ port: program.port, keepAlive: 6, fresh: 2 })
    let before = await scrape(port)
    const check = async (when: string) => {
      const now = await scrape(port)
      for (const [line, value] of before) {
        if (!IS_COUNTER.test(line)) continue
        t.true((now.get(line) ?? 0) >= value, `${when}: ${line} ${value} -> ${now.get(line)}`)
      }
      before = now
    }
    for (const round of [1, 2, 3, 4, 5]) {
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
      await check(`reload ${round}`)
    }
    // A worker that is blocked has sent and counted each of its responses.
    const cut = program.get('/block').catch(() => undefined)
    const [, victim = ''] = await program.line(/Blocking (\d+)/)
    const blocked = /^monoceros_event_loop_blocked_seconds_total\{worker="\d+"\}/
    await until(
      async () => sumOf(await scrape(port, '/metrics?by=worker'), blocked) > 0.1,
      'the blocked worker',
    )
    await check('block')
    process.kill(Number(victim), 'SIGKILL')
    await program.line(/Worker ready/)
    await cut
    await check('KILL')
    t.is(before.get('monoceros_worker_restarts_total{reason="crash"}'), 1)
    t.is(before.get('monoceros_worker_restarts_total{reason="reload"}'), 10)
    program.signal('SIGUSR2')
    const [, newer = ''] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
    t.teardown(() => process.kill(Number(newer), 'SIGKILL'))
    await program.line(/is serving beside this one/)
    await check('USR2')
    program.signal('SIGTERM')
    await program.exited
    await check('TERM')
    const { answered, lost } = await stop()
    const count = async () => sumOf(await scrape(port), COUNT_OF_200)
    await until(async () => (await count()) >= answered, `${answered} requests`)
    t.is(await count(), answered)
    t.is((await scrape(port)).get('monoceros_requests_total'), answered)
    // Each client lost at most the request that the killed worker had.
    t.true(lost.length <= 8, lost.join('\n'))
    t.is((await scrape(port)).get('monoceros_reloads_total{outcome="succeeded"}'), 5)
    process.kill(Number(newer), 'SIGTERM')
  },
)

/** An application that can block its worker until it is killed. */
const BLOCKING_APP = `module.exports = (req, res) => {
  if (req.url === '/block') {
    console.error('Blocking ' + process.pid)
    for (;;);
  }
  res.end('counted')
}
`
const IS_COUNTER = /^(?:http|monoceros|process)_\w+_(?:total|count|bucket|sum)\b/
const COUNT_OF_200 = /_duration_seconds_count\{http_request.*status_code="200"/

test.serial('only GET and HEAD, and only the pages', async (t) => {
  const { port } = await start(t, 'auto')
  t.is((await get({ port, path: '/other' })).status, 404)
  const post = await get({ port, path: '/metrics', method: 'POST' })
  t.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD'])
  const head = await get({ port, path: '/metrics', method: 'HEAD' })
  t.deepEqual([head.status, head.body], [200, ''])
  t.true(Number(head.headers['content-length']) > 1_000)
  const headers = { 'Accept-Encoding': 'gzip' }
  const zipped = await new Promise<Buffer>((done, fail) => {
    http.get({ port, path: '/metrics', agent: false, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => done(Buffer.concat(chunks)))
      response.on('error', fail)
    })
  })
  t.regex(gunzipSync(zipped).toString(), /^monoceros_workers_wanted 2$/m)
})

test.serial('hostile clients do not keep the page from others', async (t) => {
  const { port } = await start(t, 'auto')
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let count = 0; count < 200; count += 1) {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /metrics HTTP/1.1\r\nX: '))
    socket.on('error', () => {})
    sockets.push(socket)
  }
  t.is((await get({ port, path: '/readyz' })).status, 200)
  const closed = () => sockets.filter((socket) => socket.destroyed).length
  await until(() => closed() >= 100, 'the oldest connections to be closed')
  t.is((await get({ port, path: '/metrics', headers: { X: 'a'.repeat(20_000) } })).status, 431)
})

/** Sends a request that the engine refuses; resolves when the connection is closed. */
function refused(port: number, request: string): Promise<void> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.resume().on('close', () => done())
    socket.on('error', () => {})
  })
}
