// Each deadline of the settings on real sockets, with a small value; and all of them while
// JavaScript is blocked.

import { once } from 'node:events'
import net from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { ENGINES, type Program, serveArgs, startProgram, until } from '../process/program.ts'
import { type Answer, Connection, sleep } from './connection.ts'

/** Small, and long enough for a loaded machine to do what a test has to do before it. */
const SECONDS = 1
/** Clocks are not the same: the engine's ticks are shorter than this. */
const EARLIEST_MS = SECONDS * 1_000 - 50
const DRIP_MS = 100
/** More than kernels hold for a client. */
const SIZE = 20_000_000

const GET = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const HALF_A_HEAD = 'GET / HTTP/1.1\r\nHost: x\r\n'
const POST = (path = '/', length = 10) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`

const APP = `const events = []
const big = Buffer.alloc(${SIZE}, 'x')
module.exports = (req, res) => {
  if (req.url === '/events') return res.end(events.join())
  console.error('Received ' + req.url)
  if (req.url === '/block') {
    const end = Date.now() + 10_000
    while (Date.now() < end);
    return res.end('blocked')
  }
  if (req.url === '/big') {
    res.on('close', () => events.push('big closed ' + res.writableFinished))
    return res.end(big)
  }
  if (req.url === '/early') return res.end('early')
  if (req.url === '/never') {
    return void res.on('close', () => events.push('never closed ' + res.writableFinished))
  }
  req.on('error', ({ code }) => events.push('body ' + code))
  req.on('end', () => res.end('read'))
  req.resume()
}`

const FETCH = `const events = []
module.exports = {
  async fetch(request) {
    if (request.url.endsWith('/events')) return new Response(events.join())
    request.signal.addEventListener('abort', () => events.push(request.signal.reason.name))
    await new Promise(() => {})
  },
}`

interface Timed extends Answer {
  readonly ms: number
}

async function timed(connection: Connection): Promise<Timed> {
  const began = Date.now()
  const answer = await connection.answer()
  return { ...answer, ms: Date.now() - began }
}

function start(t: ExecutionContext, engine: string, args: readonly string[], app = APP) {
  const program = startProgram(t, { files: { 'app.cjs': app }, args: serveArgs(engine, ...args) })
  return program.ready(1)
}

/** Waits until the application has recorded an event. */
function recorded(program: Program, what: string) {
  return until(async () => (await program.get('/events')).body.includes(what), what)
}

for (const engine of ENGINES) {
  test.serial(`${engine}: keepalive closes an idle connection without a response`, async (t) => {
    const { port } = await start(t, engine, ['--keepalive', String(SECONDS)])
    const connection = new Connection(port)
    for (let count = 0; count < 2; count += 1) {
      t.is((await connection.send(GET('/early')).answer()).body, 'early')
    }
    const began = Date.now()
    t.is(await connection.end(), '')
    t.true(Date.now() - began >= EARLIEST_MS)
  })

  test.serial(`${engine}: request_timeout sends 504 and aborts the request`, async (t) => {
    const program = await start(t, engine, ['--request-timeout', String(SECONDS)])
    const connection = new Connection(program.port).send(GET('/never'))
    const answer = await timed(connection)
    t.deepEqual([answer.status, answer.fields.connection], [504, 'close'])
    t.true(answer.ms >= EARLIEST_MS, `${answer.ms} ms`)
    t.is(await connection.end(), '')
    await recorded(program, 'never closed false')
  })

  test.serial(`${engine}: request_timeout aborts the signal of a Request`, async (t) => {
    const program = await start(t, engine, ['--request-timeout', String(SECONDS)], FETCH)
    const connection = new Connection(program.port).send(GET('/'))
    t.is((await connection.answer()).status, 504)
    await recorded(program, 'AbortError')
  })
}

if (ENGINES.includes('native' as never)) {
  test.serial('native: header_timeout is not restarted by a byte', async (t) => {
    const { port } = await start(t, 'native', ['--header-timeout', String(SECONDS)])
    const silent = new Connection(port)
    const began = Date.now()
    const half = new Connection(port).send(HALF_A_HEAD)
    const drips = new Connection(port).send(`${HALF_A_HEAD}X: `)
    const dripping = setInterval(() => drips.send('x'), DRIP_MS)
    t.teardown(() => clearInterval(dripping))
    for (const each of [half, drips]) {
      const answer = await each.answer()
      t.deepEqual([answer.status, answer.fields.connection], [408, 'close'])
      t.true(Date.now() - began >= EARLIEST_MS)
      t.is(await each.end(), '')
    }
    // A client that has sent nothing gets no response.
    t.is(await silent.end(), '')
    // After an answered request it begins with the first byte.
    const kept = new Connection(port)
    t.is((await kept.send(GET('/early')).answer()).status, 200)
    // An idle connection is not closed by header_timeout, which closes one that is opened later.
    t.is((await new Connection(port).send(HALF_A_HEAD).answer()).status, 408)
    t.is((await kept.send(GET('/early')).answer()).status, 200)
    t.is((await kept.send(HALF_A_HEAD).answer()).status, 408)
  })

  test.serial('native: body_timeout is restarted by every byte', async (t) => {
    const program = await start(t, 'native', ['--body-timeout', String(SECONDS)])
    const stopped = new Connection(program.port).send(`${POST()}half`)
    const answer = await timed(stopped)
    t.deepEqual([answer.status, answer.fields.connection], [408, 'close'])
    t.true(answer.ms >= EARLIEST_MS, `${answer.ms} ms`)
    t.is(await stopped.end(), '')
    await recorded(program, 'body ECONNRESET')
    const slow = new Connection(program.port).send(POST())
    for (let count = 0; count < 10; count += 1) {
      await sleep(SECONDS * 200)
      slow.send('x')
    }
    t.is((await slow.answer()).body, 'read')
  })

  test.serial(
    'native: write_timeout closes the connection of a client that does not read',
    async (t) => {
      const program = await start(t, 'native', ['--write-timeout', String(SECONDS)])
      const connection = new Connection(program.port)
      connection.socket.pause()
      const began = Date.now()
      connection.send(GET('/big'))
      await recorded(program, 'big closed false')
      t.true(Date.now() - began >= EARLIEST_MS)
      connection.socket.resume()
      // What the two kernels held, at most.
      t.true((await connection.end()).length < SIZE)
    },
  )

  test.serial(
    'native: linger_timeout keeps a refused connection open for the client to read',
    async (t) => {
      const { port } = await start(t, 'native', ['--linger-timeout', String(SECONDS)])
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      t.teardown(() => socket.destroy())
      const began = Date.now()
      let received = ''
      socket.on('data', (bytes) => {
        received += bytes
      })
      const ended = once(socket, 'end')
      socket.write('BAD\r\n\r\n')
      const sending = setInterval(() => socket.write('more'), DRIP_MS)
      t.teardown(() => clearInterval(sending))
      await ended
      t.regex(received, /^HTTP\/1\.1 400 /)
      // Only later does the client stop reading.
      await new Promise((done) => socket.on('error', done))
      t.true(Date.now() - began >= EARLIEST_MS, `${Date.now() - began} ms`)
    },
  )

  test.serial('native: request_buffer_time limits the wait for a body', async (t) => {
    const { port } = await start(t, 'native', ['--request-buffer-time', String(SECONDS)])
    const whole = await timed(new Connection(port).send(`${POST('/early', 4)}body`))
    t.is(whole.body, 'early')
    const half = await timed(new Connection(port).send(`${POST('/early')}half`))
    t.is(half.body, 'early')
    t.true(half.ms >= EARLIEST_MS, `${half.ms} ms`)
    t.true(whole.ms < half.ms)
  })

  // Both clients are slow at the same time, since the rates count after 20 seconds. Both are fast
  // enough for the defaults.
  test.serial('native: body_min_rate and write_min_rate end slow clients after 20 s', async (t) => {
    const args = ['--body-min-rate', '100000', '--write-min-rate', '10000000']
    const program = await start(t, 'native', args)
    const began = Date.now()
    const elapsed = () => Date.now() - began
    const reader = new Connection(program.port)
    reader.socket.pause()
    reader.send(GET('/big'))
    const uploader = new Connection(program.port).send(POST('/', SIZE))
    const dripping = setInterval(() => {
      uploader.send('x'.repeat(1_000))
      reader.socket.read(10_000)
    }, DRIP_MS)
    t.teardown(() => clearInterval(dripping))
    t.is((await uploader.answer()).status, 408)
    t.true(elapsed() >= 20_000 - 50)
    await recorded(program, 'big closed false')
    t.true(elapsed() >= 20_000 - 50)
  })

  test.serial('native: deadlines fire while the event loop is blocked', async (t) => {
    const names = [
      'keepalive',
      'header-timeout',
      'body-timeout',
      'write-timeout',
      'request-timeout',
    ]
    const args = names.flatMap((name) => [`--${name}`, String(SECONDS)])
    const program = await start(t, 'native', [...args, '--request-buffer-time', '0'])
    const idle = new Connection(program.port)
    t.is((await idle.send(GET('/early')).answer()).status, 200)
    const deaf = new Connection(program.port)
    deaf.socket.pause()
    deaf.send(GET('/big'))
    await program.line(/Received \/big/)
    const blocking = new Connection(program.port).send(GET('/block'))
    await program.line(/Received \/block/)
    const head = new Connection(program.port).send(HALF_A_HEAD)
    const body = new Connection(program.port).send(`${POST()}half`)
    const queued = new Connection(program.port).send(GET('/early'))
    t.is(await idle.end(), '')
    t.is((await head.answer()).status, 408)
    t.is((await body.answer()).status, 408)
    const busy = await queued.answer()
    t.deepEqual([busy.status, busy.fields['retry-after']], [503, '1'])
    // Others are still accepted, and looked at.
    t.is((await new Connection(program.port).send('BAD\r\n\r\n').answer()).status, 400)
    // All of it before the loop turns again.
    t.is((await program.get('/events')).status, 503)
    deaf.socket.resume()
    t.true((await deaf.end()).length < SIZE)
    // It has begun with its answer too late as well, which its client knows by now.
    t.is((await blocking.answer()).status, 504)
    await recorded(program, 'big closed false')
  })
}
