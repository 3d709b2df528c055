/** What few programs look at, and some packages and test suites do. */
import http from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { exchange, get, masked, RawClient, request, until } from '../client.ts'
import type { Scenarios } from '../suite.ts'

/** The part of node's parser that programs look at. */
interface Parser {
  readonly incoming: unknown
  readonly socket: unknown
  free(): unknown
}

/** More than the engine buffers. */
const LONG_BYTES = 3_000_000

export const seldom: Scenarios = {
  'write callbacks run while res.socket is set': async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve((_req, res) => {
      res.write('okay', () => log.push(['written', res.socket === null]))
      res.end(() => log.push(['ended', res.socket === null]))
    })
    const answer = await exchange(port, get('/'))
    await until(() => log.length === 2)
    return [answer, log]
  },
  "no 'data' is emitted after the response was destroyed": async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.on('data', (data) => {
        log.push(`${data}`)
        res.destroy()
      })
      req.on('error', () => {})
      req.on('close', () => log.push('close'))
    })
    const client = new RawClient(port)
    client.send(request('POST', '/', ['Content-Length: 500'], 'hello'))
    await until(() => log.length > 0)
    client.send('world')
    await client.untilClosed()
    await until(() => log.includes('close'))
    return log
  },
  'socket.parser has the request in flight, and is freed when the socket closes': async ({
    serve,
  }) => {
    const log: unknown[] = []
    const port = await serve((req, res) => {
      const socket: { parser?: Parser } = req.socket as object
      const { parser } = socket
      log.push(parser?.incoming === req, parser?.socket === req.socket, parser === socket.parser)
      if (parser !== undefined) parser.free = () => log.push('free')
      req.socket.on('close', () => log.push(socket.parser, parser?.socket, parser?.incoming))
      res.end()
    })
    await exchange(port, get('/'))
    await until(() => log.length >= 7)
    return log
  },
  "socket.parser has the request until 'end' if that follows the response": async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve((req, res) => {
      const { socket } = req as { socket: { parser?: Parser } }
      req.on('end', () => {
        log.push(socket.parser?.incoming === req, req.listenerCount('end'))
        process.nextTick(() => log.push(socket.parser?.incoming))
      })
      res.end('x')
    })
    const client = new RawClient(port)
    client.send(request('POST', '/', ['Content-Length: 5'], 'whole'))
    await until(() => log.length === 3)
    client.send(request('POST', '/', ['Content-Length: 5'], 'in'))
    client.send('two')
    await until(() => log.length === 6)
    client.destroy()
    return log
  },
  'bytesRead and bytesWritten of a socket count the bytes of its connection': async ({ serve }) => {
    const log: unknown[][] = []
    const server = http.createServer(async (req, res) => {
      const { socket } = req
      const note = (event: string) => log.push([event, socket.bytesRead, socket.bytesWritten])
      note(`${req.headers.connection} ${req.url}`)
      res.on('finish', () => note('finish'))
      for await (const _ of req);
      note('end')
      if (req.url === '/parts') res.write('part')
      else res.setHeader('Content-Length', LONG_BYTES + 4).write('7'.repeat(LONG_BYTES))
      note('written')
      res.end('last')
      note('ended')
    })
    server.on('connection', (socket: Socket) => {
      socket.on('close', () => log.push(['close', socket.bytesRead, socket.bytesWritten]))
    })
    const port = await serve(server)
    const count = (event: string) => log.filter(([logged]) => logged === event).length
    for (const [connection, paths] of [
      ['keep-alive', ['/parts', '/long', '/parts']],
      ['close', ['/parts']],
    ] as const) {
      const client = new RawClient(port)
      const closed = count('close')
      for (const path of paths) {
        const finished = count('finish')
        client.send(
          request('POST', path, [`Connection: ${connection}`, 'Content-Length: 4'], 'body'),
        )
        await until(() => count('finish') > finished)
      }
      client.destroy()
      await until(() => count('close') > closed)
    }
    return log
  },
  'an empty write sends the head': async ({ serve }) => {
    const answers: http.ServerResponse[] = []
    const port = await serve((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.write('')
      answers.push(res)
    })
    const client = new RawClient(port).send(get('/'))
    await client.untilReceived('\r\n\r\n')
    answers[0]?.end('event')
    return masked(await client.untilClosed())
  },
  // Node 24 and newer.
  'req.signal is not aborted after the response': async ({ serve }) => {
    const log: unknown[] = []
    let isLeftHandled = false
    const port = await serve((req, res) => {
      const { signal } = req as { signal?: AbortSignal }
      signal?.addEventListener('abort', () => log.push(`abort of ${req.url}`))
      req.socket.once('close', () => {
        log.push(signal?.aborted, (req as { signal?: AbortSignal }).signal?.aborted)
      })
      if (req.url === '/left') isLeftHandled = true
      else setTimeout(() => res.end('x'), req.url === '/late' ? 10 : 0)
    })
    for (const path of ['/', '/late', '/left']) {
      const client = new RawClient(port).send(request('GET', path, []))
      if (path === '/left') await until(() => isLeftHandled)
      else await client.untilReceived('x')
      const before = log.length
      client.destroy()
      await until(() => log.length > before + 1)
    }
    return log
  },
  'an interim response that is written in parts': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((_req, res) => {
      const raw = res as unknown as { _writeRaw(text: string, callback?: () => void): void }
      raw._writeRaw('HTTP/1.1 102 Processing\r\n')
      raw._writeRaw('Foo: Bar\r\n')
      raw._writeRaw('\r\n', () => log.push('written'))
      res.end('other')
    })
    return [await exchange(port, get('/')), log]
  },
  'socket.writableEnded after the last response of a connection': async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve((req, res) => {
      const { socket } = req
      res.on('finish', () => log.push(socket.writableEnded))
      res.end('x')
    })
    const kept = new RawClient(port).send(request('GET', '/', []))
    await kept.untilReceived('x')
    kept.destroy()
    await exchange(port, 'GET / HTTP/1.0\r\nHost: x\r\n\r\n')
    await until(() => log.length === 2)
    return log
  },
  'an error that an application emits on its socket closes the connection': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.socket.on('close', (hadError) => log.push(`close ${hadError}`))
      if (req.url === '/begun') res.write('begun', fail)
      else fail()
      function fail(): void {
        req.socket.emit('error', new Error('mine'))
      }
    })
    const answers = [await exchange(port, get('/begun')), await exchange(port, get('/'))]
    await until(() => log.length === 2)
    return [answers, log]
  },
  "listener counts of a socket given to a 'connect' listener": async ({ serve }) => {
    let counts: unknown
    const server = http.createServer()
    server.on('connect', (_req, socket: Duplex) => {
      const names = ['close', 'drain', 'data', 'end', 'error', 'timeout']
      counts = [names.map((name) => socket.listenerCount(name)), Reflect.get(socket, 'parser')]
      socket.end('HTTP/1.1 200 OK\r\n\r\n')
    })
    const port = await serve(server)
    await exchange(port, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n')
    return counts
  },
  'the highWaterMark of createServer() applies to its connections': async ({ serve }) => {
    let marks: unknown
    const server = http.createServer({ highWaterMark: 131_072 }, (req, res) => {
      const { socket } = req
      marks = [req.readableHighWaterMark, res.writableHighWaterMark, socket.writableHighWaterMark]
      res.end()
    })
    await exchange(await serve(server), get('/'))
    return marks
  },
  'a half-closed client gets its responses with httpAllowHalfOpen': async ({ serve }) => {
    const server = http.createServer((req, res) => setTimeout(() => res.end(req.url), 30))
    Reflect.set(server, 'httpAllowHalfOpen', true)
    const client = new RawClient(await serve(server))
    client.send(request('GET', '/one', []) + request('GET', '/two', []))
    client.socket.end()
    const answer = await client.untilClosed()
    return [answer.includes('/one'), answer.includes('/two')]
  },
}
