// What the HTTP/2 settings do to a client that exceeds them, and which protocols are served.
import http from 'node:http'
import tls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { alpnProtocols } from '../../ts/engine/protocols.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { bindNatively, config, log } from '../http/engines.ts'
import { startProgram, until } from '../process/program.ts'
import { Certificates } from '../tls/certificates.ts'
import { uses } from '../uses.ts'
import { ask } from '../wire/connection.ts'
import { Http2Client } from './client.ts'
import { ACK, END_HEADERS, END_STREAM, FRAME, FrameClient, requestFields } from './frames.ts'

/** Error codes of RFC 9113 section 7. */
const REFUSED_STREAM = 7
const FLOW_CONTROL_ERROR = 3
const FRAME_SIZE_ERROR = 6

const GET = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/** Which protocols an address without TLS serves. */
const CLEARTEXT_ROWS = [
  { title: 'the defaults', settings: {}, http1: true, http2: false },
  { title: 'http_protocols "h1"', settings: { http_protocols: 'h1' }, http1: true, http2: false },
  {
    title: 'http_protocols "h1,h2"',
    settings: { http_protocols: 'h1,h2' },
    http1: true,
    http2: true,
  },
  { title: 'http_protocols "h2"', settings: { http_protocols: 'h2' }, http1: false, http2: true },
  {
    title: 'http2_cleartext "off" with http_protocols "h2,h1"',
    settings: { http_protocols: 'h2,h1', http2_cleartext: 'off' },
    ...{ http1: true, http2: false },
  },
  {
    title: 'http2_cleartext "prior-knowledge"',
    settings: { http2_cleartext: 'prior-knowledge' },
    ...{ http1: true, http2: true },
  },
] as const

test('http_protocols is the order in which TLS offers the protocols', (t) => {
  const offered = (http_protocols: string | null) => alpnProtocols({ http_protocols }).join()
  t.is(offered(null), 'h2,http/1.1,http/1.0')
  t.is(offered('h2,h1'), 'h2,http/1.1,http/1.0')
  t.is(offered('h1,h2'), 'http/1.1,http/1.0,h2')
  t.is(offered('h1'), 'http/1.1,http/1.0')
  t.is(offered('h2'), 'h2,http/1.1,http/1.0')
})

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  for (const { title, settings, http1, http2 } of CLEARTEXT_ROWS) {
    const served = [http1 ? 'HTTP/1.1' : '', http2 ? 'HTTP/2' : ''].filter(Boolean).join(' and ')
    test(`without TLS, ${title}: ${served}`, async (t) => {
      const port = await serve(t, settings)
      const client = new Http2Client(`http://127.0.0.1:${port}`)
      t.teardown(() => client.close())
      const answer = client.fetch('/').then(
        ({ status }) => status,
        () => 0,
      )
      t.is(await answer, http2 ? 200 : 0)
      const status = ask(port, GET).then(
        (response) => response.status,
        () => 0,
      )
      t.is(await status, http1 ? 200 : 0)
    })
  }

  test('a stream above http2_max_concurrent_streams is refused', async (t) => {
    const held: http.ServerResponse[] = []
    const port = await serve(t, { ...HTTP2, http2_max_concurrent_streams: 2 }, (_req, res) => {
      held.push(res)
    })
    const client = connect(t, port)
    for (const id of [1, 3, 5]) {
      client.send(FRAME.HEADERS, id, requestFields('GET'), END_HEADERS | END_STREAM)
    }
    const { payload } = await client.frame(FRAME.RST_STREAM, 5)
    t.is(payload.readUInt32BE(), REFUSED_STREAM)
    await until(() => held.length === 2, 'both requests')
    for (const res of held) res.end()
    for (const id of [1, 3]) t.truthy(await client.frame(FRAME.HEADERS, id))
  })

  test('a frame longer than http2_max_frame_size closes the connection', async (t) => {
    const port = await serve(t, { ...HTTP2, http2_max_frame_size: 20_000 })
    const client = connect(t, port)
    const post = (id: number, length: number) =>
      client
        .send(FRAME.HEADERS, id, requestFields('POST'), END_HEADERS)
        .send(FRAME.DATA, id, Buffer.alloc(length), END_STREAM)
    post(1, 20_000)
    t.is(String((await client.frame(FRAME.DATA, 1)).payload), '20000')
    post(3, 20_001)
    const { payload } = await client.frame(FRAME.GOAWAY)
    t.is(payload.readUInt32BE(4), FRAME_SIZE_ERROR)
  })

  test('a client that sends more than http2_initial_window_size at once is reset', async (t) => {
    const port = await serve(t, { ...HTTP2, http2_initial_window_size: 20_000 })
    // The window applies when the client has acknowledged the settings (RFC 9113 section 6.5.3).
    const client = connect(t, port).send(FRAME.SETTINGS, 0, Buffer.alloc(0), ACK)
    const post = (id: number, frames: number) =>
      client.sendTogether(() => {
        client.send(FRAME.HEADERS, id, requestFields('POST'), END_HEADERS)
        for (let count = 1; count < frames; count += 1) {
          client.send(FRAME.DATA, id, Buffer.alloc(10_000))
        }
        client.send(FRAME.DATA, id, Buffer.alloc(10_000), END_STREAM)
      })
    post(1, 2)
    t.is(String((await client.frame(FRAME.DATA, 1)).payload), '20000')
    post(3, 6)
    const { payload } = await client.frame(FRAME.RST_STREAM, 3)
    t.is(payload.readUInt32BE(), FLOW_CONTROL_ERROR)
  })

  test('fields larger than http2_max_header_list_size get a 431', async (t) => {
    const port = await serve(t, { ...HTTP2, http2_max_header_list_size: 2_000 })
    const client = new Http2Client(`http://127.0.0.1:${port}`)
    t.teardown(() => client.close())
    const statusFor = async (length: number) =>
      (await client.fetch('/', { headers: { 'x-a': 'y'.repeat(length) } })).status
    t.is(await statusFor(1_000), 200)
    t.is(await statusFor(2_000), 431)
    t.is(await statusFor(1_000), 200)
  })

  test.serial('with TLS, http_protocols selects the protocol of a client', async (t) => {
    for (const [protocols, both, onlyHttp2] of [
      ['h1', 'http/1.1', 'refused'],
      ['h1,h2', 'http/1.1', 'h2'],
    ] as const) {
      const certificates = new Certificates(t).selfSigned('one')
      const program = startProgram(t, {
        files: { ...certificates.files(), 'app.cjs': 'module.exports = (req, res) => res.end()' },
        args: [
          ...['./app.cjs', '-b', '127.0.0.1:0', '-w', '1', '--http-protocols', protocols],
          ...['--certfile', 'one.pem', '--keyfile', 'one.key'],
        ],
      })
      const port = Number((await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/))[1])
      t.is(await selected(port, ['h2', 'http/1.1']), both)
      t.is(await selected(port, ['h2']), onlyHttp2)
    }
  })
}

const HTTP2 = { http_protocols: 'h2,h1' }

/** Serves with the native engine; the response has the length of the request body. */
async function serve(
  t: ExecutionContext,
  settings: object,
  handler: http.RequestListener = respondWithLength,
): Promise<number> {
  const defaults = { http_protocols: null, http2_cleartext: null }
  const engine = createNativeEngine({
    config: { ...config, ...defaults, ...uses(t, settings) },
    log,
  })
  t.teardown(() => engine.close())
  const { fd, port } = bindNatively()
  await engine.serve({ style: 'node', server: http.createServer(handler) }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return port
}

const respondWithLength: http.RequestListener = (req, res) => {
  let length = 0
  req.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  req.on('end', () => res.end(String(length)))
}

function connect(t: ExecutionContext, port: number): FrameClient {
  const client = new FrameClient(port)
  t.teardown(() => client.close())
  return client
}

/** Returns the protocol that the server selects from these, or `refused`. */
function selected(port: number, protocols: string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false }
    const socket = tls.connect({ ...options, ALPNProtocols: protocols }, () => {
      resolve(String(socket.alpnProtocol))
      socket.destroy()
    })
    socket.on('error', () => resolve('refused'))
  })
}
