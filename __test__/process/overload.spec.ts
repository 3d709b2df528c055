// More requests than a worker can handle: some are rejected, so that the others are answered.

import http from 'node:http'
import http2 from 'node:http2'
import { connect } from 'node:net'
import type { ExecutionContext } from 'ava'

import { needsAddon } from '../requirements.ts'
import { get, type Program, serveArgs, startProgram, until } from './program.ts'

const testNative = needsAddon()

/** Each handler blocks JavaScript for the milliseconds in the path. */
const APP = `let handled = 0
module.exports = (req, res) => {
  if (req.url === '/handled') return res.end(String(handled))
  handled += 1
  const end = performance.now() + Number(req.url.slice(1))
  while (performance.now() < end);
  res.end('done')
}`

function start(t: ExecutionContext, ...more: string[]): Promise<Program> {
  const args = serveArgs('native', '--queue-delay-target', '0.05', ...more)
  return startProgram(t, { files: { 'app.cjs': APP }, args }).ready(1)
}

testNative('beyond the capacity, the oldest requests get a 503 until the load falls', async (t) => {
  const program = await start(t, '--health-paths', '/livez')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 500 })
  const load = sendLoad(600, (done) => {
    const request = http.get({ port: program.port, path: '/5', agent }, (response) => {
      response.resume()
      done(response.statusCode, response.headers['retry-after'])
    })
    request.on('error', () => done(undefined))
  })
  await program.line(/\[WARNING\] overload: .* queue_delay_target 50ms/)
  await until(() => load.count(503) > 50, 'rejections')
  t.is((await program.get('/livez')).status, 200)
  load.stop()
  t.true(load.count(200) > 0)
  t.deepEqual([...load.retries], ['1'])
  // The log waits for 3 s without rejections.
  await program.line(/\[INFO\] overload has ended after .*: \d+ of \d+ requests got a 503/)
  t.is((await program.get('/5')).status, 200)
})

testNative('beyond the capacity, the oldest HTTP/2 streams get a 503', async (t) => {
  const program = await start(t, '--http2-cleartext', 'prior-knowledge')
  const sessions = Array.from({ length: 8 }, () => openSession(t, program))
  let sent = 0
  const load = sendLoad(600, (done) => {
    const stream = sessions[sent++ % sessions.length]?.request({ ':path': '/5' })
    stream?.on('response', (fields) => done(fields[':status'], fields['retry-after']))
    stream?.on('error', () => done(undefined)).resume()
  })
  await until(() => load.count(503) > 50, 'rejections')
  load.stop()
  t.true(load.count(200) > 0)
  t.deepEqual([...load.retries], ['1'])
  await until(async () => (await program.get('/0')).status === 200, 'the end of the overload')
  t.true(sessions.every((session) => !session.closed))
})

testNative('a burst and a blocked event loop reject nothing', async (t) => {
  const program = await start(t)
  const paths = ['/500', ...Array<string>(300).fill('/4')]
  const responses = await Promise.all(paths.map((path) => program.get(path)))
  t.deepEqual([...new Set(responses.map(({ status }) => status))], [200])
})

testNative('requests whose clients have gone never reach the application', async (t) => {
  const options = ['--http2-cleartext', 'prior-knowledge', '--metrics-bind', '127.0.0.1:0']
  const program = await start(t, ...options)
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const port = await until(() => pattern.exec(program.log)?.[1], 'the page of metrics')
  const inFlight = async (count: number) => {
    const line = new RegExp(`^http_server_active_requests ${count}$`, 'm')
    const isReached = async () => line.test((await get({ port, path: '/metrics' })).body)
    await until(isReached, `${count} requests in flight`)
  }
  const blocked = program.get('/3000')
  await inFlight(1)
  const sockets = Array.from({ length: 10 }, () => connect(program.port, '127.0.0.1'))
  for (const socket of sockets) socket.write('GET /0 HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const session = openSession(t, program)
  const streams = Array.from({ length: 10 }, () => session.request({ ':path': '/0' }))
  await inFlight(21)
  for (const socket of sockets) socket.resetAndDestroy()
  for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL)
  await inFlight(1)
  await blocked
  t.is((await program.get('/handled')).body, '1')
})

interface Load {
  readonly count: (status: number) => number
  /** The Retry-After fields of the rejections. */
  readonly retries: Set<string | undefined>
  readonly stop: () => void
}

/** Sends requests at a fixed rate, whether earlier ones have been answered or not. */
function sendLoad(
  perSecond: number,
  send: (done: (status: number | undefined, retryAfter?: string) => void) => void,
): Load {
  const statuses: (number | undefined)[] = []
  const retries: Load['retries'] = new Set()
  const started = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - started) / 1000) * perSecond
    for (; sent < due; sent += 1) {
      send((status, retryAfter) => {
        statuses.push(status)
        if (status === 503) retries.add(retryAfter)
      })
    }
  }, 10)
  const count = (status: number) => statuses.filter((each) => each === status).length
  return { count, retries, stop: () => clearInterval(timer) }
}

function openSession(t: ExecutionContext, program: Program): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${program.port}`)
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  return session
}
