import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import test, { type ExecutionContext } from 'ava'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { WebSocketServer } from 'ws'

import type { Engine, Target } from '../../ts/engine/engine.ts'
import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { createNodeEngine } from '../../ts/engine/node/engine.ts'
import { bindNatively, config, log, logged } from '../http/engines.ts'
import { needsAddon } from '../requirements.ts'
import { Http2Client, readResponse } from './client.ts'

/** A request for a WebSocket on a stream (RFC 8441). */
const WEBSOCKET_REQUEST = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':path': '/chat',
  'sec-websocket-version': '13',
}

const onNative = needsAddon(test)

let engine: Engine | undefined

test.after.always(() => engine?.close())

/** Serves an application with the native engine and returns a client that is connected to it. */
async function serve(t: ExecutionContext, program: http.RequestListener | http.Server | Target) {
  const http2Config = {
    ...config,
    ...{ http_protocols: 'h2,h1', http2_cleartext: null, http2_max_concurrent_streams: 64 },
    ...{ http2_initial_window_size: 131_072, http2_max_frame_size: 32_768 },
    ...{ http2_max_header_list_size: 40_000, websocket_max_message_size: 100 },
  }
  engine ??= createNativeEngine({ config: http2Config, log })
  const { fd, port } = bindNatively()
  const application = typeof program === 'function' ? http.createServer(program) : program
  const target: Target =
    'style' in application ? application : { style: 'node', server: application }
  await engine.serve(target, [{ fd, address: `http://127.0.0.1:${port}`, isSecure: false }])
  const client = new Http2Client(`http://127.0.0.1:${port}`)
  t.teardown(() => client.close())
  return client
}

onNative('a handler receives an HTTP/1.1 request, and its socket shows h2', async (t) => {
  const client = await serve(t, (req, res) => {
    const { httpVersion, httpVersionMajor, headers, rawHeaders } = req
    const { alpnProtocol } = req.socket as { alpnProtocol?: string }
    res.end(JSON.stringify({ httpVersion, httpVersionMajor, headers, rawHeaders, alpnProtocol }))
  })
  const { body, headers } = await client.fetch('/', {
    headers: { cookie: ['a=1', 'b=2'], 'x-a': 'b' },
  })
  const seen = JSON.parse(body.toString())
  t.is(seen.httpVersion, '1.1')
  t.is(seen.httpVersionMajor, 1)
  t.is(seen.alpnProtocol, 'h2')
  t.is(seen.headers.cookie, 'a=1; b=2')
  t.regex(seen.headers.host, /^127\.0\.0\.1:\d+$/)
  t.is(seen.rawHeaders[0], 'host')
  t.false('connection' in headers || 'keep-alive' in headers || 'transfer-encoding' in headers)
})

onNative('a client receives the configured HTTP/2 settings', async (t) => {
  const client = await serve(t, (_req, res) => void res.end())
  await client.fetch('/')
  const settings = client.session.remoteSettings
  t.is(settings.maxConcurrentStreams, 64)
  t.is(settings.initialWindowSize, 131_072)
  t.is(settings.maxFrameSize, 32_768)
  t.is(settings.maxHeaderListSize, 40_000)
})

/** One application per framework; each responds to `POST /echo` with the JSON body it received. */
const APPLICATIONS: Readonly<Record<string, () => Promise<http.RequestListener | Target>>> = {
  'a plain handler': async () => (req, res) => {
    req.pipe(res)
  },
  Express: async () => {
    const app = express()
    app.post('/echo', express.json({ limit: '4mb' }), (req, res) => void res.json(req.body))
    return app
  },
  Koa: async () => {
    const app = new Koa()
    app.use(async (context) => {
      const chunks: Buffer[] = []
      for await (const chunk of context.req) chunks.push(chunk)
      context.body = JSON.parse(Buffer.concat(chunks).toString())
    })
    return app.callback()
  },
  Fastify: async () => {
    const app = fastify({ bodyLimit: 4_000_000 })
    app.post('/echo', async (request) => request.body)
    await app.ready()
    return app.routing
  },
  'a fetch handler': async () => {
    const app = new Hono()
    app.post('/echo', async (context) => context.json(await context.req.json()))
    return { style: 'fetch', fetch: (request: Request) => app.fetch(request) }
  },
}

for (const [name, createApplication] of Object.entries(APPLICATIONS)) {
  onNative(`${name} needs no change to serve concurrent requests`, async (t) => {
    const client = await serve(t, await createApplication())
    const bodies = Array.from({ length: 30 }, (_, at) =>
      JSON.stringify({ at, text: 'x'.repeat(at * 10_000) }),
    )
    const headers = { 'content-type': 'application/json' }
    const responses = await Promise.all(
      bodies.map((body) => client.fetch('/echo', { headers, body })),
    )
    t.true(
      responses.every(({ status, body }, at) => status === 200 && body.toString() === bodies[at]),
    )
  })
}

onNative('early hints, trailers and a response to HEAD are sent', async (t) => {
  const client = await serve(t, (req, res) => {
    if (req.method === 'HEAD') return void res.setHeader('content-length', 5).end()
    res.writeEarlyHints({ link: '</a.css>; rel=preload' })
    res.write('a')
    res.addTrailers({ 'x-after': req.trailers['x-before'] ?? 'none' })
    res.end('b')
  })
  const response = await client.fetch('/')
  t.deepEqual([response.interim, response.body.toString()], [[103], 'ab'])
  t.is(response.trailers['x-after'], 'none')
  const head = await client.fetch('/', { headers: { ':method': 'HEAD' } })
  t.deepEqual([head.headers['content-length'], head.body.length], ['5', 0])
})

onNative("a client's reset aborts one request and closes only its socket", async (t) => {
  const events: string[] = []
  let onSocketClose = (): void => {}
  const socketClosed = new Promise<void>((resolve) => {
    onSocketClose = resolve
  })
  let onRequest = (): void => {}
  // The reset must follow the request event: the application does not see an earlier reset.
  const requestReceived = new Promise<void>((resolve) => {
    onRequest = resolve
  })
  const client = await serve(t, (req, res) => {
    if (req.url !== '/hang') return void res.end('well')
    onRequest()
    req.on('error', (error: NodeJS.ErrnoException) => events.push(`req ${error.code}`))
    res.on('close', () => events.push('res close'))
    req.socket.on('close', () => onSocketClose())
  })
  const hanging = client.request({ ':path': '/hang', ':method': 'POST' })
  hanging.on('error', () => {})
  hanging.write('part')
  await requestReceived
  hanging.close(8)
  await socketClosed
  t.deepEqual(events.sort(), ['req ECONNRESET', 'res close'])
  t.is((await client.fetch('/')).body.toString(), 'well')
})

onNative('destroying a response resets its stream and keeps the connection', async (t) => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/destroy') {
      res.write('part')
      setImmediate(() => res.destroy())
      return
    }
    res.end('well')
  })
  await t.throwsAsync(client.fetch('/destroy'), { message: /INTERNAL_ERROR|code 2/ })
  t.is((await client.fetch('/')).body.toString(), 'well')
})

onNative('writing pauses while the client does not read and then resumes', async (t) => {
  const size = 3_000_000
  let written = 0
  const client = await serve(t, async (req, res) => {
    if (req.url === '/other') return void res.end()
    for (; written < size; written += 10_000) {
      if (!res.write(Buffer.alloc(10_000, 1))) await once(res, 'drain')
    }
    res.end()
  })
  const stream = client.request({ ':path': '/' })
  await once(stream, 'response')
  // The client does not read yet: only what fits the windows and the engine's buffer is written.
  await client.fetch('/other')
  t.true(written < size)
  const response = await readResponse(stream)
  t.is(response.body.length, size)
})

onNative('an extended CONNECT opens a WebSocket, and ws receives an upgrade', async (t) => {
  const server = http.createServer((_req, res) => void res.end('plain'))
  const sockets = new WebSocketServer({ server })
  const closed = new Promise((resolve) => {
    sockets.on('connection', (socket) => socket.on('close', resolve))
  })
  sockets.on('connection', (socket) => {
    socket.on('message', (text) => socket.send(`echo ${text}`))
  })
  const client = await serve(t, server)
  await client.fetch('/')
  t.true(client.session.remoteSettings.enableConnectProtocol)
  const stream = client.request(WEBSOCKET_REQUEST)
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  t.is(headers[':status'], 200)
  t.false('sec-websocket-accept' in headers || 'upgrade' in headers)
  stream.write(textFrame('hello'))
  // A frame may arrive in several pieces.
  let frame = Buffer.alloc(0)
  while (frame.length < 2 + 'echo hello'.length) {
    const [piece] = (await once(stream, 'data')) as [Buffer]
    frame = Buffer.concat([frame, piece])
  }
  t.is(frame.subarray(2).toString(), 'echo hello')
  stream.end(closeFrame())
  t.is(await closed, 1005)
})

onNative('websocket_max_message_size limits the messages of a stream', async (t) => {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server })
  const closed = new Promise((resolve) => {
    sockets.on('connection', (socket) => socket.on('close', resolve))
  })
  const client = await serve(t, server)
  const stream = client.request(WEBSOCKET_REQUEST)
  await once(stream, 'response')
  stream.write(textFrame('x'.repeat(100)))
  stream.write(textFrame('x'.repeat(101)))
  const [frame] = (await once(stream, 'data')) as [Buffer]
  t.deepEqual([...frame], [0x88, 2, 0x03, 0xf1])
  t.is(await closed, 1009)
})

onNative('a WebSocket that the application destroys is reset', async (t) => {
  const server = http.createServer((_req, res) => void res.end('plain'))
  server.on('upgrade', (_req, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    socket.on('data', () => socket.destroy())
  })
  const client = await serve(t, server)
  await client.fetch('/')
  const stream = client.request(WEBSOCKET_REQUEST)
  await once(stream, 'response')
  stream.on('error', () => {}).resume()
  stream.write(textFrame('go'))
  await once(stream, 'close')
  t.not(stream.rstCode, 0)
})

onNative('large bodies arrive intact in both directions', async (t) => {
  const client = await serve(t, (req, res) => void req.pipe(res))
  const body = randomBytes(8_000_000)
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const response = await client.fetch('/', { body })
  t.is(digest(response.body), digest(body))
})

test('the engine on node:http logs that it supports only HTTP/1.1', async (t) => {
  const engine = createNodeEngine({
    config: { ...config, http_protocols: 'h2,h1', http2_cleartext: null },
    log,
  })
  await engine.serve({ style: 'node', server: http.createServer() }, [])
  engine.close()
  t.true(logged.some((text) => text.includes('HTTP/1.1 only')))
})

function textFrame(text: string): Buffer {
  const mask = [1, 2, 3, 4]
  const masked = Buffer.from(text).map((byte, at) => byte ^ (mask[at % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x81, 0x80 | masked.length, ...mask]), masked])
}

function closeFrame(): Buffer {
  return Buffer.from([0x88, 0x80, 1, 2, 3, 4])
}
