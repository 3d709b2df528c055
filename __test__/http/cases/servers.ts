/** The server as a program sees it. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { exchange, get, nextTurn, RawClient, request } from '../client.ts'
import type { Scenarios } from '../suite.ts'

export const servers: Scenarios = {
  // Node 24 and newer.
  'optimizeEmptyRequests closes a request without a body at once': async ({ serve, settled }) => {
    const log: unknown[] = []
    const options = { optimizeEmptyRequests: true } as http.ServerOptions
    const server = http.createServer(options, (req, res) => {
      log.push([req.url, req.readableEnded, req.destroyed, req.closed])
      for (const name of ['end', 'close']) req.on(name, () => log.push(`${req.url} ${name}`))
      req.resume()
      setTimeout(() => res.end('answer'), 10)
    })
    const port = await serve(server)
    const close = 'Connection: close'
    const answers = [
      await exchange(port, get('/')),
      await exchange(port, request('POST', '/0', [close, 'Content-Length: 0'])),
      await exchange(port, request('POST', '/3', [close, 'Content-Length: 3'], 'abc')),
    ]
    await settled(log)
    return [answers, log]
  },
  "a replaced emit gets 'connection' and 'request'": async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer((_req, res) => res.end())
    const { emit } = server
    server.emit = (name: string | symbol, ...values: unknown[]) => {
      if (name === 'connection' || name === 'request') log.push(name)
      return Reflect.apply(emit, server, [name, ...values])
    }
    await exchange(await serve(server), request('GET', '/', []) + get('/'))
    return log
  },
  "'connection' is emitted once, before the first request": async ({ serve }) => {
    const log: string[] = []
    let socket: unknown
    const server = http.createServer((req, res) => {
      log.push(`request ${req.socket === socket}`)
      res.end()
    })
    server.on('connection', (one) => {
      socket = one
      log.push('connection')
    })
    await exchange(await serve(server), request('GET', '/', []) + get('/'))
    return log
  },
  "'request' listeners are looked up for each request": async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer((_req, res) => res.end('first'))
    const port = await serve(server)
    const answers = [await exchange(port, get('/'))]
    server.removeAllListeners('request')
    server.on('request', () => log.push('one'))
    server.on('request', (_req, res) => res.end('second'))
    answers.push(await exchange(port, get('/')))
    return [answers, log, server.listenerCount('request')]
  },
  "an emit that is replaced while serving gets 'request'": async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer((_req, res) => res.end('x'))
    const port = await serve(server)
    const { emit } = server
    server.emit = function replaced(this: http.Server, ...args: unknown[]) {
      log.push(String(args[0]))
      return Reflect.apply(emit, this, args)
    } as typeof emit
    return [await exchange(port, get('/')), log.filter((name) => name === 'request')]
  },
  "a patched Server.prototype.emit gets 'request'": async ({ serve }) => {
    const log: string[] = []
    const { prototype } = http.Server
    const before = prototype.emit
    Object.defineProperty(prototype, 'emit', {
      configurable: true,
      writable: true,
      value: function patched(this: http.Server, ...args: unknown[]) {
        if (args[0] === 'request') log.push(String(args[1] instanceof http.IncomingMessage))
        return Reflect.apply(before, this, args)
      },
    })
    try {
      return [await exchange(await serve((_req, res) => res.end('x')), get('/')), log]
    } finally {
      Reflect.deleteProperty(prototype, 'emit')
    }
  },
  'diagnostics channels publish the start and the finish of a request': async ({
    serve,
    settled,
  }) => {
    const log: string[] = []
    const names = ['http.server.request.start', 'http.server.response.finish']
    const subscriptions = names.map((name) => {
      const onMessage = (message: unknown): void => {
        log.push(
          `${name} ${Object.keys(message as object)
            .sort()
            .join()}`,
        )
      }
      channel(name).subscribe(onMessage)
      return () => channel(name).unsubscribe(onMessage)
    })
    try {
      await exchange(
        await serve((_req, res) => {
          log.push('request')
          res.end('x')
        }),
        get('/'),
      )
      await settled(log)
      return log
    } finally {
      for (const end of subscriptions) end()
    }
  },
  'captureRejections sends a 500 response': async ({ serve }) => {
    EventEmitter.captureRejections = true
    const server = http.createServer(async (_req, res) => {
      res.setHeader('a', 'b')
      throw new Error('no')
    })
    EventEmitter.captureRejections = false
    return exchange(await serve(server), get('/'))
  },
  'each request has its own async context': async ({ serve }) => {
    const storage = new AsyncLocalStorage<string>()
    const found: unknown[] = []
    const port = await serve(async (req, res) => {
      const before = storage.getStore()
      storage.enterWith(req.url ?? '')
      await nextTurn()
      found.push(before === undefined || req.url !== '/1', storage.getStore() === req.url)
      res.on('finish', () => found.push(storage.getStore() === req.url))
      res.end('x')
    })
    await Promise.all(['/1', '/2', '/3'].map((path) => exchange(port, get(path))))
    return found
  },
  'jobs that a handler queues run after it, in order': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((_req, res) => {
      process.nextTick(() => log.push('tick'))
      Promise.resolve().then(() => log.push('promise'))
      log.push('handler')
      setImmediate(() => res.end('x'))
    })
    await exchange(port, get('/'))
    return log
  },
  maxRequestsPerSocket: async ({ serve }) => {
    let dropped = 0
    const server = http.createServer((_req, res) => res.end('x'))
    server.maxRequestsPerSocket = 2
    server.on('dropRequest', () => dropped++)
    const port = await serve(server)
    return [
      await exchange(
        port,
        ['/1', '/2'].map((path) => request('GET', path, [])).join('') + get('/3'),
      ),
      dropped,
    ]
  },
  checkContinue: async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer(() => log.push('request'))
    server.on('checkContinue', (_req: IncomingMessage, res: ServerResponse) => {
      log.push('checkContinue')
      res.writeContinue()
      res.end('x')
    })
    const fields = ['Content-Length: 1', 'Expect: 100-continue', 'Connection: close']
    const client = new RawClient(await serve(server)).send(request('POST', '/', fields, 'a'))
    await client.untilClosed()
    return log
  },
  'getConnections() counts connections, and close() waits for them': async ({ serve, settled }) => {
    const log: string[] = []
    const server = http.createServer((_req, res) => res.end('x'))
    const port = await serve(server)
    const client = new RawClient(port).send(request('GET', '/', []))
    await client.untilReceived('x')
    const count = await new Promise((resolve) => server.getConnections((_error, n) => resolve(n)))
    server.close((error) => log.push(`closed ${error}`))
    log.push(String(server.listening))
    await client.untilClosed()
    await settled(log)
    return [count, log]
  },
  'a server that closes right after end() sends the whole response': async ({ serve }) => {
    const lengths: number[] = []
    for (const length of [1, 6_000_000]) {
      const server = http.createServer((_req, res) => {
        res.end(Buffer.alloc(length))
        server.close()
      })
      const answer = await exchange(await serve(server), get('/'))
      lengths.push(answer.length - answer.indexOf('\r\n\r\n') - 4)
    }
    return lengths
  },
  "a closing request with an Upgrade field is served without an 'upgrade' listener": async ({
    serve,
  }) => {
    const port = await serve((req, res) =>
      res.end(`${Reflect.get(req, 'upgrade')} ${req.headers.upgrade}`),
    )
    return exchange(port, request('GET', '/', ['Connection: Upgrade, close', 'Upgrade: x']))
  },
}
