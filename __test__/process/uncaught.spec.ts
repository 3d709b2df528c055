// What a client gets for each kind of error that nothing catches, what the log has, and whether the
// worker continues.

import http2 from 'node:http2'
import net from 'node:net'
import test from 'ava'
import { needsAddon } from '../requirements.ts'
import { ENGINES, type Program, serveArgs, startProgram, until } from './program.ts'

/** The ways in which an application fails, by the path of the request. */
const FAILURES = `
const { EventEmitter } = require('node:events')
const fs = require('node:fs')
const bus = new EventEmitter()
bus.on('fail', (path) => fail(path))
const waits = new Map()
const hanging = []
setInterval(() => { for (const [path] of waits) { waits.delete(path); bus.emit('fail', path) } }, 5)
const fail = (path) => { throw new Error('failed at ' + path) }
const pause = () => new Promise((done) => setTimeout(done, 5))
exports.failures = {
  throw: fail,
  tick: (path) => process.nextTick(fail, path),
  microtask: (path) => queueMicrotask(() => fail(path)),
  timer: (path) => setTimeout(fail, 5, path),
  nested: (path) => setTimeout(() => setImmediate(fail, path), 5),
  callback: (path) => fs.readFile(__filename, () => fail(path)),
  stream: (path) => fs.createReadStream(__filename).on('data', () => fail(path)),
  error: (path) => fs.createReadStream('/missing/failed at ' + path),
  floating: (path) => { Promise.reject(new Error('failed at ' + path)) },
  late: (path) => { pause().then(() => fail(path)) },
  nested_timer: (path) => { (async () => { await pause(); setTimeout(fail, 1, path) })() },
  shared: (path) => { waits.set(path) },
}
`

const LISTENER_APP = `${FAILURES}
module.exports = (req, res) => {
  const [, name, when] = req.url.split('/')
  if (name === 'body') return req.on('data', () => fail(req.url))
  if (name === 'body-timer') return req.on('data', () => setTimeout(fail, 1, req.url))
  if (name === 'close') return res.on('finish', () => fail(req.url)).end('done')
  if (name === 'hang') return hanging.push(res)
  if (name === 'hanging') return res.end(String(hanging.length))
  if (name === '') return res.end(String(process.pid))
  if (when === 'head') res.write('begun')
  if (when === 'end') res.end('done')
  exports.failures[name](req.url)
}
module.exports.failures = exports.failures
`.replaceAll('exports.failures[', 'module.exports.failures[')

const FETCH_APP = `${FAILURES}
exports.fetch = (request) => {
  const { pathname } = new URL(request.url)
  const [, name, when] = pathname.split('/')
  if (name === '') return new Response(String(process.pid))
  if (when === 'head') {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('begun'))
        exports.failures[name](pathname)
      },
    })
    return new Response(body)
  }
  exports.failures[name](pathname)
  return when === 'end' ? new Response('done') : new Promise(() => {})
}
`

const WAYS = ['tick', 'microtask', 'timer', 'nested', 'callback', 'stream', 'error'] as const
const REJECTIONS = ['floating', 'late', 'nested_timer'] as const

/** A client that gets nothing for this time counts as one that hangs. */
const HANG_MS = 5_000

for (const engine of ENGINES) {
  for (const [style, app] of Object.entries({ node: LISTENER_APP, fetch: FETCH_APP })) {
    test.serial(`${engine}, ${style}: an error after the handler gets 500`, async (t) => {
      const program = await started(t, engine, app)
      const { body: pid } = await program.get('/')
      for (const way of [
        ...(style === 'node' ? ['throw'] : []),
        ...WAYS,
        ...REJECTIONS,
        'shared',
      ]) {
        t.regex(await exchange(program, `/${way}`), /^HTTP\/1.1 500 /, way)
        await program.line(new RegExp(`failed at /${way}`))
      }
      t.is((await program.get('/')).body, pid)
    })

    test.serial(`${engine}, ${style}: an error ends a begun response`, async (t) => {
      const program = await started(t, engine, app)
      for (const way of ['timer', 'callback', 'late']) {
        const answer = await exchange(program, `/${way}/head`)
        t.regex(answer, /^HTTP\/1.1 200 [\s\S]*begun/, way)
        t.notRegex(answer, /\r\n0\r\n/, way)
        await program.line(new RegExp(`failed at /${way}/head`))
      }
    })

    test.serial(`${engine}, ${style}: an error after the end changes no response`, async (t) => {
      const program = await started(t, engine, app)
      for (const way of ['tick', 'timer', 'late']) {
        t.regex(await exchange(program, `/${way}/end`), /^HTTP\/1.1 200 [\s\S]*done/, way)
        await program.line(new RegExp(`failed at /${way}/end`))
      }
    })
  }

  test.serial(`${engine}: an error of a timer costs no other request its response`, async (t) => {
    const program = await started(t, engine, LISTENER_APP)
    const other = exchange(program, '/hang')
    t.regex(await exchange(program, '/timer'), /^HTTP\/1.1 500 /)
    t.is(await Promise.race([other, program.get('/').then(() => 'waits')]), 'waits')
  })

  test.serial(`${engine}: after an error of an unknown request all get a time limit`, async (t) => {
    const program = await started(t, engine, LISTENER_APP, '--graceful-timeout', '1')
    const hanging = exchange(program, '/hang')
    await until(async () => (await program.get('/hanging')).body === '1', 'the other request')
    const answers = await Promise.all([hanging, exchange(program, '/shared')])
    for (const answer of answers) t.regex(answer, /^HTTP\/1.1 500 /)
  })

  test.serial(`${engine}: an error of a listener belongs to its request`, async (t) => {
    const program = await started(t, engine, LISTENER_APP)
    for (const path of ['/body', '/body-timer']) {
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n`
      t.regex(await send(program, head + 'x'.repeat(70_000)), /^HTTP\/1.1 500 /, path)
      await program.line(new RegExp(`failed at ${path}`))
    }
    t.regex(await exchange(program, '/close'), /^HTTP\/1.1 200 [\s\S]*done/)
    await program.line(/failed at \/close/)
  })

  test.serial(`${engine}: an error after the handler recycles the worker`, async (t) => {
    const args = serveArgs(engine, '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': LISTENER_APP }, args }).ready(1)
    t.regex(await exchange(program, '/late'), /^HTTP\/1.1 500 /)
    await program.line(/Autorestarting worker \(pid:\d+\): uncaught error/)
    await program.line(/Worker ready/)
  })
}

const withHttp2 = needsAddon()

withHttp2('HTTP/2: an error after the handler gets 500, or ends its stream', async (t) => {
  for (const app of [LISTENER_APP, FETCH_APP]) {
    const program = await started(t, 'native', app, '--http2-cleartext', 'prior-knowledge')
    const session = http2.connect(`http://127.0.0.1:${program.port}`)
    for (const way of [...WAYS, ...REJECTIONS]) t.is(await stream(session, `/${way}`), 500, way)
    t.is(await stream(session, '/timer/head'), 'reset')
    t.is(await stream(session, '/timer/end'), 200)
    session.destroy()
  }
})

async function started(
  t: Parameters<typeof startProgram>[0],
  engine: string,
  app: string,
  ...more: string[]
) {
  const args = serveArgs(engine, '-w', '1', '--on-uncaught', 'continue', ...more)
  return startProgram(t, { files: { 'app.cjs': app }, args }).ready(1)
}

const exchange = (program: Program, path: string) =>
  send(program, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)

/** Sends bytes and collects the answer, until the server closes the connection. */
function send({ port }: Program, bytes: string): Promise<string> {
  return new Promise((done) => {
    let answer = ''
    const socket = net.connect(port, '127.0.0.1')
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text
      // The server reads the rest of the body before it closes.
      if (bytes.startsWith('POST')) socket.destroy()
    })
    socket.on('error', () => {}).on('close', () => done(answer))
    socket.setTimeout(HANG_MS, () => socket.destroy())
    socket.write(bytes)
  })
}

/** The status of a stream, or `reset`. */
function stream(session: http2.ClientHttp2Session, path: string): Promise<unknown> {
  return new Promise((done) => {
    const request = session.request({ ':path': path })
    let status: unknown
    request.on('response', (fields) => {
      status = fields[':status']
    })
    request
      .on('error', () => done('reset'))
      .on('end', () => done(request.rstCode === 0 ? status : 'reset'))
    request.setTimeout(HANG_MS, () => done('hangs'))
    request.resume()
  })
}
