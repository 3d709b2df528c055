// Health checks of the real command: at metrics_bind and on the public port, while workers are
// blocked, and before a stop.

import http2 from 'node:http2'
import test, { type ExecutionContext } from 'ava'

import { needsAddon } from '../requirements.ts'
import { appSource, ENGINES, get, serveArgs, startProgram, until } from './program.ts'

const testNative = needsAddon()

/** Starts a server with health checks at both places. */
async function start(t: ExecutionContext, engine: string, ...more: string[]) {
  const paths = ['--health-paths', '/livez,/internal/readyz']
  const args = serveArgs(engine, '-w', '2', '--metrics-bind', '127.0.0.1:0', ...paths, ...more)
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args })
  await program.ready(2)
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const port = await until(() => pattern.exec(program.log)?.[1], 'the page of metrics')
  return { program, port: Number(port) }
}

for (const engine of ENGINES) {
  test.serial(`${engine}: health checks are answered at both places`, async (t) => {
    const { program, port } = await start(t, engine, '--access-logfile', '-')
    for (const path of ['/livez', '/readyz']) {
      const answer = await get({ port, path })
      t.deepEqual([answer.status, answer.body], [200, 'ok\n'], path)
    }
    t.regex((await get({ port, path: '/readyz?verbose' })).body, /^\[\+\]workers: 2 of 2 /)
    for (const path of ['/livez', '/internal/readyz']) {
      const answer = await program.get(path)
      t.deepEqual([answer.status, answer.body], [200, 'ok\n'], path)
      t.is(answer.headers['content-type'], 'text/plain; charset=utf-8')
    }
    t.regex((await program.get('/livez?verbose')).body, /livez check passed\n$/)
    t.is((await get({ port: program.port, path: '/livez', method: 'HEAD' })).body, '')
    // Other requests are the application's.
    t.true((await program.get('/readyz')).body.includes('"version"'))
    t.is((await get({ port: program.port, path: '/livez', method: 'DELETE' })).status, 200)
    const requests = /^monoceros_requests_total (\d+)$/m
    const count = async () => requests.exec((await get({ port, path: '/metrics' })).body)?.[1]
    await until(async () => (await count()) === '2', 'the requests of the application alone')
  })

  test.serial(`${engine}: drain_delay fails readiness before the stop`, async (t) => {
    const { program, port } = await start(t, engine, '--drain-delay', '1.5')
    program.signal('SIGTERM')
    await program.line(/Readiness fails from now on; stopping in 1\.5s/)
    const failed = await get({ port, path: '/readyz' })
    t.is(failed.status, 503)
    t.regex(failed.body, /^\[-\]stopping: the server is about to stop$/m)
    t.is((await get({ port, path: '/livez' })).status, 200)
    await until(async () => (await program.get('/internal/readyz')).status === 503, 'readiness')
    // The server still accepts connections and serves them.
    t.is((await program.get()).status, 200)
    t.is(await program.exited, 0)
  })
}

test.serial('a second TERM ends the wait of drain_delay', async (t) => {
  const { program } = await start(t, 'auto', '--drain-delay', '600')
  program.signal('SIGTERM')
  await program.line(/stopping in 600s/)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

testNative('health checks are answered while every event loop is blocked', async (t) => {
  const { program, port } = await start(t, 'native', '--timeout', '1')
  const answers = [1, 2, 3, 4].map(() => program.get('/block/700').catch(() => undefined))
  const busy = /^http_server_active_requests 4$/m
  await until(async () => busy.test((await get({ port, path: '/metrics' })).body), 'the blocks')
  const startedAt = Date.now()
  t.is((await program.get('/internal/readyz')).status, 200)
  t.is((await program.get('/livez')).status, 200)
  t.is((await get({ port, path: '/readyz' })).status, 200)
  t.true(Date.now() - startedAt < 500)
  await Promise.all(answers)
})

testNative('HTTP/2 has the health checks too', async (t) => {
  const { program } = await start(t, 'native', '--http2-cleartext', 'prior-knowledge')
  const client = http2.connect(`http://127.0.0.1:${program.port}`)
  t.teardown(() => client.close())
  const stream = client.request({ ':path': '/livez' })
  const status = new Promise((done) => {
    stream.on('response', (headers) => done(headers[':status']))
  })
  let body = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  t.is(await status, 200)
  await new Promise((done) => stream.on('end', done))
  t.is(body, 'ok\n')
  client.close()
})
