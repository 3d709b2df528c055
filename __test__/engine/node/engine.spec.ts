import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { createNodeEngine } from '../../../ts/engine/node/engine.ts'
import { exchange, get, RawClient, request, until } from '../../http/client.ts'
import { bind, config, log } from '../../http/engines.ts'

/** An engine with other settings than the suite's. */
async function start(listener: http.RequestListener, settings: Partial<typeof config> = {}) {
  const engine = createNodeEngine({ config: { ...config, ...settings }, log })
  const { fd, port } = bind()
  const server = http.createServer(listener)
  await engine.serve({ style: 'node', server }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return { engine, port }
}

test('a drain answers requests in flight and late ones, each with Connection: close', async (t) => {
  const { engine, port } = await start((req, res) => {
    if (req.url === '/slow') setTimeout(() => res.end('slow'), 300)
    else res.end('quick')
  })
  const idle = new RawClient(port).send(request('GET', '/', []))
  t.regex(await idle.untilReceived('quick'), /Connection: keep-alive/)
  const slow = new RawClient(port).send(request('GET', '/slow', []))
  await until(() => engine.counters().inFlight === 1)
  const drained = engine.drain(5_000, 2_000)
  idle.send(request('GET', '/', []))
  t.regex(await idle.untilClosed(), /Connection: close\r\nContent-Length: 5\r\n\r\nquick$/)
  t.regex(await slow.untilClosed(), /Connection: close\r\nContent-Length: 4\r\n\r\nslow$/)
  await drained
  t.is(engine.counters().connections, 0)
  t.is(await exchange(port, get('/')), '', 'the port is closed')
})

test('a drain ends when its time is over', async (t) => {
  const { engine, port } = await start(() => {})
  const client = new RawClient(port).send(request('GET', '/', []))
  await until(() => engine.counters().inFlight === 1)
  await engine.drain(100, 100)
  t.is(await client.untilClosed(), '')
})

test('limits are checked', async (t) => {
  const { engine, port } = await start(
    (req, res) => {
      req.resume()
      req.on('end', () => res.end('ok'))
    },
    { limit_request_line: 40, limit_request_fields: 3, limit_request_body: 10 },
  )
  t.regex(await exchange(port, get('/')), /^HTTP\/1.1 200 /)
  t.regex(await exchange(port, get(`/${'x'.repeat(40)}`)), /^HTTP\/1.1 414 /)
  t.regex(await exchange(port, get('/', 'a: 1', 'b: 2')), /^HTTP\/1.1 431 /)
  const long = request('POST', '/', ['Content-Length: 11', 'Connection: close'], '12345678901')
  t.regex(await exchange(port, long), /^HTTP\/1.1 413 /)
  const chunks = '5\r\n12345\r\n6\r\n678901\r\n0\r\n\r\n'
  t.is(await exchange(port, request('POST', '/', ['Transfer-Encoding: chunked'], chunks)), '')
  engine.close()
})

test('worker_connections counts requests in flight, and 0 is no limit', async (t) => {
  for (const limit of [2, 0]) {
    const { engine, port } = await start(
      (req, res) => {
        if (req.url === '/') res.end('quick')
      },
      { worker_connections: limit },
    )
    const clients = [1, 2, 3].map(() => new RawClient(port).send(request('GET', '/', [])))
    for (const client of clients) t.regex(await client.untilReceived('quick'), / 200 /)
    for (const client of clients.slice(1)) client.send(request('GET', '/held', []))
    await until(() => engine.counters().inFlight >= 2)
    t.is((await exchange(port, get('/'))) === '', limit === 2)
    engine.close()
  }
})

test('keepalive 0 ends every connection', async (t) => {
  const { engine, port } = await start((_req, res) => res.end('x'), { keepalive: 0 })
  t.regex(await exchange(port, request('GET', '/', [])), /Connection: close/)
  engine.close()
})

test('the access log has a line for each answer', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-access-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const accesslog = join(directory, 'access')
  const { engine, port } = await start(
    (req, res) => {
      if (req.url === '/never') req.socket.destroy()
      else res.writeHead(201, { 'X-A': 'b' }).end('hello')
    },
    {
      accesslog,
      access_log_format: '%(h)s "%(r)s" %(s)s %(B)s %({host}i)s %({x-a}o)s',
    },
  )
  await exchange(port, request('HEAD', '/h', ['Connection: close']))
  t.is(await exchange(port, get('/never')), '')
  await exchange(port, 'GET /a?b HTTP/1.0\r\nHost: test\r\n\r\n')
  // The file is written at the end of the turn; the destroyed request has no line of its own.
  await until(() => readFileSync(accesslog, 'utf8').split('\n').length > 2)
  engine.close()
  t.is(
    readFileSync(accesslog, 'utf8'),
    '127.0.0.1 "HEAD /h HTTP/1.1" 201 0 test b\n127.0.0.1 "GET /a?b HTTP/1.0" 201 5 test b\n',
  )
})
