/** What a program finds on its request, response and socket. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import net from 'node:net'
import { exchange, get, request } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

/** Asks once and compares what `look` returns. */
function seen(
  look: (req: IncomingMessage, res: ServerResponse) => unknown,
  text = get('/'),
): Scenario {
  return async ({ serve }) => {
    let found: unknown
    const port = await serve((req, res) => {
      found = look(req, res)
      if (!res.writableEnded) res.end()
    })
    return [await exchange(port, text), found]
  }
}

const FIELDS = [
  'Accept: a',
  'accept: b',
  'X-Repeated: 1',
  'x-repeated: 2',
  'Cookie: a=1',
  'cookie: b=2',
  'Set-Cookie: x',
  'User-Agent: first',
  'User-Agent: second',
  'Empty:',
  'Spaced:   value  ',
  'Bytes: \u00e9',
  'constructor: y',
  '__proto__: z',
]

/** Of the swap that Express does. */
const swapped = {
  request: Object.create(http.IncomingMessage.prototype),
  response: Object.create(http.ServerResponse.prototype),
}

export const objects: Scenarios = {
  "requests, responses and sockets are instances of node's classes": seen((req, res) => [
    req instanceof http.IncomingMessage,
    res instanceof http.ServerResponse,
    req.constructor.name,
    res.constructor.name,
    req.socket instanceof net.Socket,
    req.socket.constructor.name,
    Object.getPrototypeOf(req) === http.IncomingMessage.prototype,
    Object.getPrototypeOf(res) === http.ServerResponse.prototype,
  ]),

  'listeners of a response can be added and removed': seen((_req, res) => {
    const events: unknown[] = []
    const listener = () => {}
    // Node has a listener of its own for 'finish'.
    const names = () => events.push(res.eventNames().filter((name) => name !== 'finish'))
    names()
    res.on('removeListener', (name) => events.push(name))
    res.on('drain', listener).on('close', listener).on('constructor', listener)
    names()
    res.removeListener('close', listener).off('constructor', listener)
    names()
    res.once('drain', listener).removeListener('drain', listener)
    names()
    res.removeAllListeners('drain')
    events.push(res.emit('toString'), res.emit('drain'), res.listenerCount('drain'))
    res.removeAllListeners('removeListener')
    names()
    return events
  }),

  "removing the only 'removeListener' listener does not call it": seen((_req, res) => {
    const events: unknown[] = []
    const listener = (name: unknown) => events.push(name)
    res.on('removeListener', listener).removeListener('removeListener', listener)
    return [events, res.listenerCount('removeListener'), res.emit('removeListener', 'x')]
  }),

  'requests and responses work after their prototypes were replaced': seen((req, res) => {
    Object.setPrototypeOf(req, swapped.request)
    Object.setPrototypeOf(res, swapped.response)
    res.setHeader('a', 1)
    res.appendHeader('b', '2')
    const found = [
      req instanceof http.IncomingMessage,
      res instanceof http.ServerResponse,
      req.constructor.name,
      res.getHeader('a'),
      res.getHeaders(),
      res.getHeaderNames(),
      res.hasHeader('B'),
    ]
    res.removeHeader('a')
    res.writeHead(201, { c: '3' })
    res.end('x')
    return found
  }),

  'own keys of a response at the start': seen((_req, res) => Object.keys(res)),
  'own keys of a request at the start': seen((req) => Object.keys(req)),

  'properties that frameworks add are absent from a request': seen((req) =>
    ['originalUrl', 'body', 'rawBody', 'query', 'ip', 'protocol', '_parsedUrl', 'params'].map(
      (name) => name in req,
    ),
  ),

  'method, URL and version of a request': seen(
    (req) => [
      req.method,
      req.url,
      req.httpVersion,
      req.httpVersionMajor,
      req.httpVersionMinor,
      Reflect.get(req, 'upgrade'),
    ],
    get('/a%20b//c/../d?x=%zz&y'),
  ),
  'the URL of a request in absolute form': seen(
    (req) => [req.url, req.headers.host],
    get('http://test/p?q=1'),
  ),
  'a request with a method of WebDAV': seen(
    (req) => req.method,
    request('PROPFIND', '/', ['Connection: close']),
  ),

  'header fields of a request': seen(
    (req) => [
      { ...req.headers },
      Object.keys(req.headers),
      req.rawHeaders,
      { ...req.headersDistinct },
      Object.getPrototypeOf(req.headers) === Object.prototype,
    ],
    get('/', ...FIELDS),
  ),
  'req.headers can be changed and replaced': seen((req) => {
    req.headers.origin = 'x'
    const before = { ...req.headers }
    req.headers = { a: 'b' }
    return [before, req.headers]
  }),
  'joinDuplicateHeaders joins header fields': async ({ serve }) => {
    let found: unknown
    const server = http.createServer({ joinDuplicateHeaders: true }, (req, res) => {
      found = req.headers
      res.end()
    })
    await exchange(await serve(server), get('/', ...FIELDS))
    return { ...(found as object) }
  },

  'flags of a request at the start': seen((req) => [
    req.complete,
    req.readable,
    req.readableEnded,
    req.readableAborted,
    req.readableDidRead,
    req.destroyed,
    req.aborted,
    req.errored,
    req.closed,
    Reflect.get(req, '_consuming'),
    Reflect.get(req, '_dumped'),
    Reflect.get(req, '_readableState').encoding,
    req.trailers,
    req.rawTrailers,
    req.statusCode,
  ]),

  'flags of a response at the start': seen((_req, res) => [
    res.statusCode,
    res.statusMessage,
    Object.hasOwn(res, 'statusCode'),
    res.headersSent,
    res.writable,
    res.writableEnded,
    res.writableFinished,
    res.finished,
    res.destroyed,
    res.closed,
    res.errored,
    res.shouldKeepAlive,
    res.chunkedEncoding,
    res.sendDate,
    res.writableLength,
    res.writableNeedDrain,
    res.writableObjectMode,
    res.writableCorked,
    Reflect.get(res, '_header'),
    Reflect.get(res, '_headerSent'),
    res.strictContentLength,
  ]),

  'headersSent is true right after writeHead()': seen((_req, res) => {
    const states: unknown[] = []
    const look = (): void => {
      states.push(
        res.headersSent,
        Boolean(Reflect.get(res, '_header')),
        res.writableEnded,
        res.finished,
      )
    }
    look()
    res.writeHead(200, { a: 'b' })
    look()
    res.end('x')
    look()
    return [states, res.statusMessage]
  }),
  'the state of a response right after end()': seen((_req, res) => {
    res.setHeader('a', 'b')
    const returned = res.end('x')
    return [
      returned === res,
      res.headersSent,
      Boolean(Reflect.get(res, '_header')),
      res.writableEnded,
      res.finished,
      res.destroyed,
      res.closed,
      res.statusMessage,
      res.getHeaders(),
      Boolean(res.socket),
    ]
  }),

  "methods of a response return node's values": seen((_req, res) => [
    res.setHeader('a', ['1', '2']) === res,
    res.getHeader('A'),
    res.appendHeader('a', '3') === res,
    res.getHeader('a'),
    res.getHeaders(),
    Object.getPrototypeOf(res.getHeaders()),
    Reflect.get(res, 'getRawHeaderNames').call(res),
    res.removeHeader('a'),
    res.hasHeader('a'),
    res.writeHead(200) === res,
    res.write('x'),
    res.getHeader('a'),
  ]),
  'getHeader() does not return fields of writeHead() alone': seen((_req, res) => {
    res.writeHead(200, { x: '1' })
    return [res.getHeader('x'), res.hasHeader('x'), res.getHeaderNames()]
  }),

  'req.socket, res.socket and req.connection are one object': seen((req, res) => [
    req.socket === req.connection,
    req.socket === res.socket,
    res.connection === res.socket,
    res.req === req,
    Reflect.get(req.socket, '_httpMessage') === res,
    Reflect.get(req.socket, 'server') instanceof http.Server,
  ]),
  'the socket has the addresses of both sides': async ({ serve }) => {
    let found: unknown[] = []
    let localPort: number | undefined
    const port = await serve((req, res) => {
      const { socket } = req
      localPort = socket.localPort
      found = [
        socket.remoteAddress,
        socket.remoteFamily,
        typeof socket.remotePort,
        socket.localAddress,
        Reflect.get(socket, 'localFamily'),
        Reflect.get(socket, 'encrypted'),
        'encrypted' in socket,
        Object.keys(socket.address()).sort(),
      ]
      res.end()
    })
    await exchange(port, get('/'))
    return [found, localPort === port]
  },
  'the socket has the methods that frameworks call': seen((req) => {
    const { socket } = req
    return [
      socket.setNoDelay(true) === socket,
      socket.setKeepAlive(true, 0) === socket,
      socket.setTimeout(0) === socket,
      socket.ref() === socket,
      socket.unref() === socket,
      socket.writable,
      socket.readable,
      socket.destroyed,
      socket.connecting,
      socket.pending,
      socket.readyState,
      socket.writableLength,
      socket.allowHalfOpen,
    ]
  }),
  'all requests of a connection have the same socket': async ({ serve }) => {
    const sockets = new Set<unknown>()
    const counts: unknown[] = []
    const port = await serve((req, res) => {
      sockets.add(req.socket)
      Object.assign(req.socket, { mark: (Reflect.get(req.socket, 'mark') ?? 0) + 1 })
      counts.push(Reflect.get(req.socket, 'mark'))
      res.end('x')
    })
    await exchange(port, request('GET', '/', []) + request('GET', '/', []) + get('/'))
    return [sockets.size, counts]
  },

  'subclasses given to createServer() are used': async ({ serve }) => {
    class Req extends http.IncomingMessage {}
    class Res extends http.ServerResponse<Req> {}
    let found: unknown
    const server = http.createServer({ IncomingMessage: Req, ServerResponse: Res }, (req, res) => {
      found = [req instanceof Req, res instanceof Res, req.constructor.name]
      res.end('x')
    })
    return [await exchange(await serve(server), get('/')), found]
  },

  'patched methods of ServerResponse.prototype are called': async ({ serve, settled }) => {
    const calls: string[] = []
    const { prototype } = http.ServerResponse
    const names = ['setHeader', 'writeHead', 'write', 'end', 'emit'] as const
    for (const name of names) {
      const before = prototype[name]
      Reflect.set(prototype, name, function patched(this: object, ...args: unknown[]) {
        calls.push(name === 'emit' ? `emit ${args[0]}` : name)
        return Reflect.apply(before, this, args)
      })
      restores.push(() => Reflect.set(prototype, name, before))
    }
    const port = await serve((_req, res) => {
      res.setHeader('a', 'b')
      res.end('x')
    })
    try {
      const answer = await exchange(port, get('/'))
      await settled(calls)
      return [answer, calls.filter((call) => call !== 'emit socket')]
    } finally {
      for (const restore of restores.splice(0).reverse()) restore()
    }
  },
}

const restores: (() => void)[] = []
