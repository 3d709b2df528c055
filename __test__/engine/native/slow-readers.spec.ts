import http from 'node:http'
import net from 'node:net'
import test from 'ava'
import { native, nativeFailure } from '../../../ts/native/index.ts'
import { startNative, stopNative } from '../../http/engines.ts'
import { until } from '../../process/program.ts'

/**
 * What a program does to the socket of an answer that is on its way, when it has given it or when
 * that has finished.
 */
const ENDINGS = [
  ['given', 'end'],
  ['given', 'destroySoon'],
  ['finish', 'end'],
  ['finish', 'destroySoon'],
  ['finish', 'destroy'],
] as const
const READERS = 20
const BODY = Buffer.alloc(8 << 20, 'abcdefghijklmnopqrstuvwxyz0123456789')

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test.after.always(stopNative)

  test.serial(
    'one buffer for many stalled readers exists once, and each gets all of it',
    async (t) => {
      const answers: http.ServerResponse[] = []
      let finished = 0
      let ended = 0
      const server = http.createServer((_req, res) => {
        answers.push(res)
        res.on('finish', () => finished++)
        res.end(BODY, () => ended++)
      })
      const { port } = await startNative(server)
      const before = process.memoryUsage().rss
      const readers = Array.from({ length: READERS }, () => new Reader(port))
      await until(() => answers.length === READERS, 'the requests')
      t.is(finished + ended, 0)
      t.true(answers.every((res) => !res.writableFinished && res.writableLength > 0))
      const grown = process.memoryUsage().rss - before
      t.true(grown < (READERS * BODY.length) / 2, `the process grew by ${grown >> 20} MiB`)
      for (const reader of readers) reader.resume()
      for (const reader of readers) t.true((await reader.body()).equals(BODY))
      await until(() => finished === READERS && ended === READERS, 'the ends')
    },
  )

  test.serial(
    'what is written without waiting arrives in order, whatever its size, with its trailers',
    async (t) => {
      const server = http.createServer((_req, res) => {
        res.setHeader('Trailer', 'X-Sum')
        for (let piece = 0; piece < 2_000; piece++)
          res.write(`${piece}:${'x'.repeat(piece % 400)},`)
        res.write(BODY)
        res.addTrailers({ 'X-Sum': 'last' })
        res.end('end')
      })
      const { port } = await startNative(server)
      const response = await new Promise<http.IncomingMessage>((resolve) => {
        http.get({ port, agent: false }, resolve)
      })
      const pieces: Buffer[] = []
      for await (const piece of response) pieces.push(piece as Buffer)
      const text = Buffer.concat(pieces).toString('latin1')
      const expected = Array.from({ length: 2_000 }, (_, n) => `${n}:${'x'.repeat(n % 400)},`)
      t.true(text === `${expected.join('')}${BODY.toString('latin1')}end`)
      t.deepEqual(response.trailers, { 'x-sum': 'last' })
    },
  )

  test.serial(
    'an answer whose memory is given away while it waits ends, and no other',
    async (t) => {
      const events: string[] = []
      const server = http.createServer((req, res) => {
        if (req.url !== '/') return res.end('served')
        const given = new Uint8Array(BODY)
        for (const event of ['finish', 'close']) res.on(event, () => events.push(event))
        res.write(given)
        // Node 26 holds writes back for a tick.
        return setImmediate(() => {
          structuredClone(given.buffer, { transfer: [given.buffer] })
          res.end()
        })
      })
      const { port } = await startNative(server)
      const reader = new Reader(port)
      await reader.started
      reader.resume()
      t.true((await reader.body()).length < BODY.length)
      await until(() => events.length > 0, 'the close')
      t.deepEqual(events, ['close'])
      t.is(await (await fetch(`http://127.0.0.1:${port}/other`)).text(), 'served')
    },
  )

  for (const [when, method] of ENDINGS) {
    test.serial(
      `an answer arrives whole where its socket meets ${method}() at '${when}'`,
      async (t) => {
        const server = http.createServer(({ socket }, res) => {
          res.once(when, () => socket[method]())
          res.write(BODY.subarray(0, BODY.length / 2))
          res.end(BODY.subarray(BODY.length / 2))
          res.emit('given')
        })
        const { port } = await startNative(server)
        const reader = new Reader(port, 'keep-alive')
        await reader.started
        reader.resume()
        const body = Buffer.from(dechunked(await reader.body()), 'latin1')
        t.true(body.equals(BODY), `${body.length} bytes`)
      },
    )
  }

  test.serial(
    'a client that ends after a socket that waits for its response is released',
    async (t) => {
      const closed: string[] = []
      const server = http.createServer((req, res) => {
        // Listeners of the socket's end events are called in Node's order.
        for (const event of ['end', 'finish', 'close'])
          req.socket.on(event, () => closed.push(event))
        res.end(BODY)
        req.socket.end()
      })
      const { port } = await startNative(server)
      const reader = new Reader(port)
      await reader.started
      reader.destroy()
      await until(() => closed.includes('close'), 'the close')
      t.false(closed.includes('finish'))
    },
  )

  test.serial('no response remains of a client that closes', async (t) => {
    const closed: boolean[] = []
    const server = http.createServer((_req, res) => {
      res.on('close', () => closed.push(res.writableFinished))
      res.end(BODY)
    })
    const { port } = await startNative(server)
    const reader = new Reader(port)
    await reader.started
    reader.destroy()
    await until(() => closed.length === 1, 'the close')
    t.deepEqual(closed, [false])
  })
}

/** The data of chunks, as far as they have come. */
function dechunked(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  let data = ''
  for (let at = 0; ; ) {
    const line = text.indexOf('\r\n', at)
    const size = line < 0 ? 0 : Number.parseInt(text.slice(at, line), 16)
    if (size === 0) return data
    data += text.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

/** A client that sends a request, reads the first bytes, and then stalls until it is resumed. */
class Reader {
  readonly #socket: net.Socket
  readonly #pieces: Buffer[] = []
  #isStalled = true
  /** Resolves with the first bytes. */
  readonly started: Promise<void>

  constructor(port: number, connection = 'close') {
    this.#socket = net.connect(port, '127.0.0.1')
    this.#socket.write(`GET / HTTP/1.1\r\nHost: test\r\nConnection: ${connection}\r\n\r\n`)
    this.started = new Promise((resolve) => {
      this.#socket.on('data', (piece) => {
        this.#pieces.push(piece)
        if (this.#isStalled) this.#socket.pause()
        resolve()
      })
    })
  }

  resume(): void {
    this.#isStalled = false
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  async body(): Promise<Buffer> {
    if (!this.#socket.closed) await new Promise((resolve) => this.#socket.once('close', resolve))
    const all = Buffer.concat(this.#pieces)
    return all.subarray(all.indexOf('\r\n\r\n') + 4)
  }
}
