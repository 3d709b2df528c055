// The operator's settings override what the program sets on its server, and that overrides our
// defaults.
import http from 'node:http'
import test from 'ava'
import type { Engine } from '../../ts/engine/engine.ts'
import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { createNodeEngine } from '../../ts/engine/node/engine.ts'
import { native } from '../../ts/native/index.ts'
import { Http2Client } from '../http2/client.ts'
import { needsAddon } from '../requirements.ts'
import { get, RawClient, request } from './client.ts'
import { bind, bindNatively, config, log, logged } from './engines.ts'

const engines: Engine[] = []

type Make = (server: http.Server, given: readonly string[], settings?: object) => Promise<number>

const startNode: Make = async (server, given, settings = {}) => {
  const { fd, port } = bind()
  const engine = createNodeEngine({
    ...{ config: { ...config, ...settings }, given: new Set(given), log },
  })
  engines.push(engine)
  await engine.serve({ style: 'node', server }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return port
}

const startNative: Make = async (server, given, settings = {}) => {
  const { fd, port } = bindNatively()
  const engine = createNativeEngine({
    ...{ config: { ...config, ...settings }, given: new Set(given), log },
  })
  engines.push(engine)
  await engine.serve({ style: 'node', server }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return port
}

test.after.always(() => {
  for (const engine of engines) engine.close()
})

const makes = native === null ? { node: startNode } : { node: startNode, native: startNative }

function program(limits: object = {}): http.Server {
  const server = http.createServer((req, res) => res.end(`${req.rawHeaders.length / 2}`))
  return Object.assign(server, limits)
}

async function keepAliveOf(port: number): Promise<string | undefined> {
  const client = new RawClient(port).send(request('GET', '/', []))
  const answer = await client.untilReceived('\r\n\r\n')
  client.destroy()
  return /Keep-Alive: (.*)\r/.exec(answer)?.[1]
}

const fields = Array.from({ length: 150 }, (_, index) => `x-${index}: y`)

needsAddon(test)('a server with limits of its own serves HTTP/2 without TLS', async (t) => {
  const settings = { http_protocols: 'h2,h1', http2_cleartext: null }
  const port = await startNative(program({ keepAliveTimeout: 3_000 }), [], settings)
  const client = new Http2Client(`http://127.0.0.1:${port}`)
  t.teardown(() => client.close())
  t.is((await client.fetch('/')).status, 200)
})

for (const [name, start] of Object.entries(makes)) {
  test(`${name}: keepAliveTimeout: default, the application's, the operator's`, async (t) => {
    t.is(await keepAliveOf(await start(program(), [])), 'timeout=75')
    const server = program({ keepAliveTimeout: 3_000 })
    t.is(await keepAliveOf(await start(server, [])), 'timeout=3')
    server.keepAliveTimeout = 9_000
    t.is(await keepAliveOf(await start(server, [])), 'timeout=9')
    // Zero means no limit on Node; here the default stays.
    t.is(await keepAliveOf(await start(program({ keepAliveTimeout: 0 }), [])), 'timeout=75')
    const operators = program({ keepAliveTimeout: 3_000 })
    t.is(await keepAliveOf(await start(operators, ['keepalive'])), 'timeout=75')
    t.is(operators.keepAliveTimeout, 75_000)
  })

  test(`${name}: an idle connection closes after the application's keepAliveTimeout`, async (t) => {
    const port = await start(program({ keepAliveTimeout: 200 }), [])
    const client = new RawClient(port).send(request('GET', '/', []))
    await client.untilReceived('\r\n\r\n')
    const answeredAt = Date.now()
    t.regex(await client.untilClosed(), /^HTTP\/1.1 200 /)
    // Node waits for one second more.
    t.true(Date.now() - answeredAt >= 1_000)
  })

  test(`${name}: the application's headersTimeout applies, or the operator's`, async (t) => {
    // Node looks every so often only.
    const timed = () =>
      Object.assign(
        http.createServer({ connectionsCheckingInterval: 100 }, (_req, res) => res.end()),
        { headersTimeout: 300, requestTimeout: 300 },
      )
    const slow = new RawClient(await start(timed(), [])).send('GET / HTTP/1.1\r\n')
    t.regex(await slow.untilClosed(), /^HTTP\/1.1 408 /)
    const port = await start(timed(), ['header_timeout', 'body_timeout'])
    if (name === 'node') return t.pass('node has its requestTimeout as well')
    const half = 'GET / HTTP/1.1\r\nHost: x\r\n'
    const kept = new RawClient(port).send(half)
    // The application's headersTimeout closes a connection that is opened later.
    t.regex(await new RawClient(await start(timed(), [])).send(half).untilClosed(), / 408 /)
    t.regex(await kept.send('\r\n').untilReceived('\r\n\r\n'), /^HTTP\/1.1 200 /)
    kept.destroy()
    return undefined
  })

  test(`${name}: the application's maxHeadersCount applies, or the operator's`, async (t) => {
    const ask = async (port: number) => new RawClient(port).send(get('/', ...fields)).untilClosed()
    t.regex(await ask(await start(program(), [])), /^HTTP\/1.1 431 /)
    t.regex(await ask(await start(program({ maxHeadersCount: 500 }), [])), /\r\n152$/)
    const port = await start(program({ maxHeadersCount: 500 }), ['limit_request_fields'])
    t.regex(await ask(port), /^HTTP\/1.1 431 /)
    const client = new RawClient(await start(program({ maxHeadersCount: 5 }), []))
    const answer = await client.send(get('/', ...fields.slice(0, 10))).untilClosed()
    // Before, node drops what is beyond.
    t.is(answer.startsWith('HTTP/1.1 431 '), Number(process.versions.node.split('.')[0]) >= 22)
  })

  test(`${name}: the application's maxHeaderSize applies, or the operator's`, async (t) => {
    const sized = (maxHeaderSize: number) =>
      http.createServer({ maxHeaderSize }, (req, res) => res.end(`${req.rawHeaders.length / 2}`))
    const ask = async (port: number, length: number) =>
      new RawClient(port).send(get('/', `x: ${'y'.repeat(length)}`)).untilClosed()
    t.regex(await ask(await start(program(), []), 20_000), /^HTTP\/1.1 431 /)
    const large = await start(sized(32_768), [])
    t.regex(await ask(large, 20_000), /\r\n3$/)
    t.regex(await ask(large, 40_000), /^HTTP\/1.1 431 /)
    t.regex(await ask(await start(sized(1_024), []), 2_000), /^HTTP\/1.1 431 /)
    // It counts the fields together.
    const many = Array.from({ length: 20 }, (_, index) => `x-${index}: ${'y'.repeat(60)}`)
    const small = new RawClient(await start(sized(1_024), [])).send(get('/', ...many))
    t.regex(await small.untilClosed(), /^HTTP\/1.1 431 /)
    const port = await start(sized(32_768), ['limit_request_field_size'])
    t.regex(await ask(port, 20_000), /^HTTP\/1.1 431 /)
  })

  test(`${name}: the application's requestTimeout applies, or body_timeout`, async (t) => {
    const timed = () =>
      Object.assign(
        http.createServer({ connectionsCheckingInterval: 100 }, (req, res) => {
          req.resume().on('end', () => res.end())
        }),
        { headersTimeout: 300, requestTimeout: 300 },
      )
    const half = request('POST', '/', ['Content-Length: 4'], 'ab')
    const slow = new RawClient(await start(timed(), [])).send(half)
    t.regex(await slow.untilClosed(), /^HTTP\/1.1 408 /)
    if (name === 'node') return
    const kept = new RawClient(await start(timed(), ['body_timeout'])).send(half)
    // The application's requestTimeout closes a connection that is opened later.
    t.regex(await new RawClient(await start(timed(), [])).send(half).untilClosed(), / 408 /)
    t.regex(await kept.send('cd').untilReceived('\r\n\r\n'), /^HTTP\/1.1 200 /)
    kept.destroy()
  })

  test(`${name}: the application's server.timeout closes a silent connection`, async (t) => {
    const server = http.createServer(() => {})
    server.timeout = 200
    const silent = new RawClient(await start(server, [])).send(get('/'))
    t.is(await silent.untilClosed(), '')
    const withListener = http.createServer(() => {})
    withListener.setTimeout(200, (socket) =>
      socket.end('HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n'),
    )
    const client = new RawClient(await start(withListener, [])).send(get('/'))
    t.regex(await client.untilClosed(), /^HTTP\/1.1 504 Late/)
  })

  test(`${name}: the application's maxRequestsPerSocket applies, or the operator's`, async (t) => {
    const limited = () => program({ maxRequestsPerSocket: 1 })
    const client = new RawClient(await start(limited(), [])).send(request('GET', '/', []))
    t.regex(await client.untilReceived('\r\n\r\n'), /Connection: close/)
    client.destroy()
    const settings = { limit_requests_per_connection: 2 }
    const port = await start(limited(), ['limit_requests_per_connection'], settings)
    const two = new RawClient(port).send(request('GET', '/', []))
    t.regex(await two.untilReceived('\r\n\r\n'), /Connection: keep-alive/)
    // Node sends Connection: close and waits for the client.
    await two.send(request('GET', '/', [])).untilReceived('Connection: close')
    two.destroy()
  })
}

test('the TypeScript engine warns of a setting that it does not support', async (t) => {
  await startNode(program(), ['write_timeout'])
  t.true(logged.some((text) => /does not support write_timeout: see/.test(text)))
})
