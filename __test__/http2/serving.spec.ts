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
import { native } from '../../ts/native/index.ts'
import { bindNatively, config, log, logged } from '../http/engines.ts'
import { answerOf, Http2Client } from './client.ts'

const onNative = native === null ? test.skip : test

let engine: Engine | undefined

test.after.always(() => engine?.close())

/** Serves a program and connects to it. */
async function serve(t: ExecutionContext, program: http.RequestListener | http.Server | Target) {
  const spoken = {
    ...config,
    ...{ http_protocols: 'h2,h1', http2_cleartext: null, http2_max_concurrent_streams: 64 },
    ...{ http2_initial_window_size: 131_072, http2_max_frame_size: 32_768 },
    http2_max_header_list_size: 40_000,
  }
  engine ??= createNativeEngine({ config: spoken, log })
  const { fd, port } = bindNatively()
  const made = typeof program === 'function' ? http.createServer(program) : program
  const target: Target = 'style' in made ? made : { style: 'node', server: made }
  await engine.serve(target, [{ fd, address: `http://127.0.0.1:${port}` }])
  const client = new Http2Client(`http://127.0.0.1:${port}`)
  t.teardown(() => client.close())
  return client
}

onNative('a handler sees a request of HTTP/1.1 and the real protocol on its socket', async (t) => {
  const client = await serve(t, (req, res) => {
    const { httpVersion, httpVersionMajor, headers, rawHeaders } = req
    const { alpnProtocol } = req.socket as { alpnProtocol?: string }
    res.end(JSON.stringify({ httpVersion, httpVersionMajor, headers, rawHeaders, alpnProtocol }))
  })
  const { body, headers } = await client.ask('/', {
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

onNative('a client is told the settings', async (t) => {
  const client = await serve(t, (_req, res) => void res.end())
  await client.ask('/')
  const told = client.session.remoteSettings
  t.is(told.maxConcurrentStreams, 64)
  t.is(told.initialWindowSize, 131_072)
  t.is(told.maxFrameSize, 32_768)
  t.is(told.maxHeaderListSize, 40_000)
})

/** An application of each kind that answers `POST /echo` with its JSON body. */
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
      const pieces: Buffer[] = []
      for await (const piece of context.req) pieces.push(piece)
      context.body = JSON.parse(Buffer.concat(pieces).toString())
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

for (const [name, make] of Object.entries(APPLICATIONS)) {
  onNative(`${name} is served as it is, many requests at a time`, async (t) => {
    const client = await serve(t, await make())
    const bodies = Array.from({ length: 30 }, (_, at) =>
      JSON.stringify({ at, text: 'x'.repeat(at * 10_000) }),
    )
    const headers = { 'content-type': 'application/json' }
    const answers = await Promise.all(bodies.map((body) => client.ask('/echo', { headers, body })))
    t.true(
      answers.every(({ status, body }, at) => status === 200 && body.toString() === bodies[at]),
    )
  })
}

onNative('early hints, trailers and a head without a body come through', async (t) => {
  const client = await serve(t, (req, res) => {
    if (req.method === 'HEAD') return void res.setHeader('content-length', 5).end()
    res.writeEarlyHints({ link: '</a.css>; rel=preload' })
    res.write('a')
    res.addTrailers({ 'x-after': req.trailers['x-before'] ?? 'none' })
    res.end('b')
  })
  const answer = await client.ask('/')
  t.deepEqual([answer.interim, answer.body.toString()], [[103], 'ab'])
  t.is(answer.trailers['x-after'], 'none')
  const head = await client.ask('/', { headers: { ':method': 'HEAD' } })
  t.deepEqual([head.headers['content-length'], head.body.length], ['5', 0])
})

onNative("a client's reset is the end of one request, and of its socket alone", async (t) => {
  const heard: string[] = []
  let closed = (): void => {}
  const over = new Promise<void>((resolve) => {
    closed = resolve
  })
  let began = (): void => {}
  // A reset before the request has crossed leaves the program in peace.
  const inHand = new Promise<void>((resolve) => {
    began = resolve
  })
  const client = await serve(t, (req, res) => {
    if (req.url !== '/hang') return void res.end('well')
    began()
    req.on('error', (error: NodeJS.ErrnoException) => heard.push(`req ${error.code}`))
    res.on('close', () => heard.push('res close'))
    req.socket.on('close', () => closed())
  })
  const hanging = client.request({ ':path': '/hang', ':method': 'POST' })
  hanging.on('error', () => {})
  hanging.write('part')
  await inHand
  hanging.close(8)
  await over
  t.deepEqual(heard.sort(), ['req ECONNRESET', 'res close'])
  t.is((await client.ask('/')).body.toString(), 'well')
})

onNative('an answer that the program cuts is reset, and the connection lives', async (t) => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/cut') {
      res.write('part')
      setImmediate(() => res.destroy())
      return
    }
    res.end('well')
  })
  await t.throwsAsync(client.ask('/cut'), { message: /INTERNAL_ERROR|code 2/ })
  t.is((await client.ask('/')).body.toString(), 'well')
})

onNative('writing stops where the client does not read, and goes on with it', async (t) => {
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
  // Nobody reads yet: what is written is what fits the windows and the engine.
  await client.ask('/other')
  t.true(written < size)
  const answer = await answerOf(stream)
  t.is(answer.body.length, size)
})

onNative('a WebSocket comes by an extended CONNECT, and ws sees an upgrade', async (t) => {
  const server = http.createServer((_req, res) => void res.end('plain'))
  const sockets = new WebSocketServer({ server })
  const closed = new Promise((resolve) => {
    sockets.on('connection', (socket) => socket.on('close', resolve))
  })
  sockets.on('connection', (socket) => {
    socket.on('message', (text) => socket.send(`heard ${text}`))
  })
  const client = await serve(t, server)
  await client.ask('/')
  t.true(client.session.remoteSettings.enableConnectProtocol)
  const stream = client.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/chat',
    'sec-websocket-version': '13',
  })
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  t.is(headers[':status'], 200)
  t.false('sec-websocket-accept' in headers || 'upgrade' in headers)
  stream.write(textFrame('hello'))
  const [answer] = (await once(stream, 'data')) as [Buffer]
  t.is(answer.subarray(2).toString(), 'heard hello')
  stream.end(closeFrame())
  t.is(await closed, 1005)
})

onNative('what the program destroys of a WebSocket is reset', async (t) => {
  const server = http.createServer((_req, res) => void res.end('plain'))
  server.on('upgrade', (_req, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    socket.on('data', () => socket.destroy())
  })
  const client = await serve(t, server)
  await client.ask('/')
  const stream = client.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/chat',
    'sec-websocket-version': '13',
  })
  await once(stream, 'response')
  stream.on('error', () => {}).resume()
  stream.write(textFrame('go'))
  await once(stream, 'close')
  t.not(stream.rstCode, 0)
})

onNative('large bodies are intact in both directions', async (t) => {
  const client = await serve(t, (req, res) => void req.pipe(res))
  const body = randomBytes(8_000_000)
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const answer = await client.ask('/', { body })
  t.is(digest(answer.body), digest(body))
})

test('the engine on node:http says that it speaks HTTP/1.1 only', async (t) => {
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
