/**
 * The connection, as `req.socket` shows it: its events, its methods, and what writes past the
 * answer do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import type { Socket } from 'node:net'
import { exchange, get, masked, RawClient, request, until } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Program = (req: IncomingMessage, res: ServerResponse, log: string[]) => void

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
const EVENTS = ['end', 'close', 'error', 'timeout', 'finish']

/** Logs the events of a connection, and what the program logs; over when the socket has closed. */
function watched(program: Program, text = get('/')): Scenario {
  return async ({ serve, settled }) => {
    const log: string[] = []
    let closed = false
    const server = http.createServer((req, res) => program(req, res, log))
    server.on('connection', (socket: Socket) => {
      for (const name of EVENTS) {
        socket.on(name, (value) => log.push(`k.${name} ${value?.code ?? value ?? ''}`))
      }
      socket.on('close', () => {
        closed = true
      })
    })
    server.on('clientError', (error: NodeJS.ErrnoException) => {
      log.push(`clientError ${error.code ?? error.message}`)
    })
    const answer = await exchange(await serve(server), text)
    await until(() => closed)
    await settled(log)
    return [answer, log]
  }
}

/** What `look` finds in the socket of a request. */
function found(look: (socket: Socket, req: IncomingMessage) => unknown): Scenario {
  return async ({ serve }) => {
    let value: unknown
    const port = await serve((req, res) => {
      value = look(req.socket, req)
      res.end()
    })
    await exchange(port, get('/'))
    return value
  }
}

export const sockets: Scenarios = {
  'the state of req.socket in a handler': found((socket) => [
    socket.readable,
    socket.writable,
    socket.destroyed,
    socket.closed,
    socket.errored,
    socket.connecting,
    socket.pending,
    socket.readyState,
    socket.allowHalfOpen,
    socket.timeout,
    socket.writableLength,
    socket.writableEnded,
    socket.writableFinished,
    socket.readableEnded,
    socket.isPaused(),
    'encrypted' in socket,
    'authorized' in socket,
    'getPeerCertificate' in socket,
    Object.hasOwn(socket, 'server'),
    Reflect.get(socket, 'server') instanceof http.Server,
    Reflect.get(socket, '_httpMessage') instanceof http.ServerResponse,
    socket.bytesWritten,
  ]),
  'an application may keep any property on a socket': async ({ serve }) => {
    const names = ['call', 'connection', 'last', 'refused', 'requests', 'secured', 'tunnel']
    const port = await serve(({ socket }, res) => {
      const kept = socket as unknown as Record<string, unknown>
      const before = names.map((name) => kept[name])
      for (const name of names) kept[name] = `${kept[name] ?? ''}+`
      res.end(JSON.stringify([before, names.map((name) => kept[name]), socket.writableEnded]))
    })
    return exchange(port, request('GET', '/', []) + get('/'))
  },
  'methods of the socket return the socket': found((socket) => [
    socket.setTimeout(0) === socket,
    socket.setNoDelay(true) === socket,
    socket.setKeepAlive(true, 1000) === socket,
    socket.ref() === socket,
    socket.unref() === socket,
    socket.pause() === socket,
    socket.resume() === socket,
    socket.cork(),
    socket.uncork(),
  ]),
  'setEncoding() of the socket throws': found((socket) => {
    try {
      return socket.setEncoding('utf8') === socket
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  }),
  'events of a connection that the server ends': watched((_req, res) => res.end('x')),
  'events of a connection that stays idle': async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer((req, res) => {
      for (const name of EVENTS) req.socket.on(name, (v) => log.push(`k.${name} ${v ?? ''}`))
      res.end('x')
    })
    const client = new RawClient(await serve(server)).send(request('GET', '/', []))
    await client.untilReceived('x')
    client.socket.end()
    await client.untilClosed()
    await until(() => log.some((line) => line.startsWith('k.close')))
    return log
  },
  "a client that closes during its upload emits 'clientError', then aborts the request": async ({
    serve,
  }) => {
    const log: unknown[] = []
    const server = http.createServer((req, res) => {
      req.on('data', () => log.push('data'))
      req.on('aborted', () => log.push('aborted'))
      req.on('error', (error: NodeJS.ErrnoException) => log.push(error.code))
      for (const name of ['finish', 'close']) res.on(name, () => log.push(`s.${name}`))
    })
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      const { code, message, reason } = error as NodeJS.ErrnoException & { reason?: string }
      log.push([code, message, reason, socket.writable])
      socket.destroy()
    })
    const client = new RawClient(await serve(server))
    client.send(request('POST', '/', ['Content-Length: 500'], 'hello'))
    await until(() => log.length > 0)
    client.socket.end()
    await until(() => log.includes('s.close') && log.includes('ECONNRESET'))
    return log
  },
  "an upload that is broken off emits an error on the socket without 'clientError' listeners":
    async ({ serve }) => {
      const logs: string[][] = []
      const port = await serve((req, res) => {
        const log: string[] = []
        logs.push(log)
        for (const name of req.url === '/end' ? ['end', 'error', 'close'] : ['error', 'close']) {
          req.socket.on(name, (value) => log.push(`k.${name} ${value?.code ?? value ?? ''}`))
        }
        req.on('data', () => log.push('data'))
        req.on('aborted', () => log.push('aborted'))
        req.on('error', (error: NodeJS.ErrnoException) => log.push(`r.error ${error.code}`))
        for (const name of ['finish', 'close']) res.on(name, () => log.push(`s.${name}`))
      })
      for (const [index, path] of ['/', '/end'].entries()) {
        const hasEvent = (start: string) =>
          logs[index]?.some((line) => line.startsWith(start)) === true
        const client = new RawClient(port)
        client.send(request('POST', path, ['Content-Length: 500'], 'hello'))
        await until(() => hasEvent('data'))
        client.socket.end()
        await until(() => hasEvent('r.error') && hasEvent('k.close'))
      }
      return logs
    },
  'destroy() of the socket after the head': watched((req, res, log) => {
    for (const name of ['finish', 'close', 'error']) res.on(name, () => log.push(`s.${name}`))
    res.write('begun')
    setTimeout(() => req.socket.destroy(), 30)
  }),
  'destroy(error) of the socket': watched((req, res, log) => {
    req.on('aborted', () => log.push('r.aborted'))
    req.on('error', (error: NodeJS.ErrnoException) => log.push(`r.error ${error.code}`))
    for (const name of ['finish', 'close', 'error']) res.on(name, () => log.push(`s.${name}`))
    req.socket.destroy(new Error('mine'))
  }),
  'destroy(error) of the response': watched((req, res, log) => {
    req.on('error', (error: NodeJS.ErrnoException) => log.push(`r.error ${error.code}`))
    req.on('close', () => log.push('r.close'))
    for (const name of ['finish', 'close', 'error']) res.on(name, () => log.push(`s.${name}`))
    res.destroy(new Error('mine'))
    log.push(String([res.destroyed, res.errored, req.destroyed, req.socket.destroyed]))
  }),
  'destroy(error) of the request': watched(
    (req, res, log) => {
      req.on('aborted', () => log.push('r.aborted'))
      req.on('error', (error: NodeJS.ErrnoException) => log.push(`r.error ${error.message}`))
      req.on('close', () => log.push('r.close'))
      for (const name of ['finish', 'close', 'error']) res.on(name, () => log.push(`s.${name}`))
      req.destroy(new Error('mine'))
    },
    request('POST', '/', ['Content-Length: 500'], 'hello'),
  ),
  'destroy() of a request without a body': watched((req, res, log) => {
    req.on('close', () => log.push('r.close'))
    for (const name of ['finish', 'close', 'error']) res.on(name, () => log.push(`s.${name}`))
    req.destroy()
  }),
  'end() of the socket before the response': watched((req, _res) => {
    req.socket.end()
  }),
  'end() of the socket before that of the response': watched((req, res) => {
    req.socket.end()
    res.end('x')
  }),
  'end() of the socket before a streamed response': watched((req, res) => {
    req.socket.end()
    res.write('x')
    setImmediate(() => res.end('y'))
  }),
  "a timeout of the socket with a 'timeout' listener": watched((req, res, log) => {
    req.socket.setTimeout(30, () => {
      log.push('called')
      req.socket.setTimeout(0)
      res.end('x')
    })
  }),
  'a second request on a connection has its own timeout': async ({ serve }) => {
    const timeouts: unknown[] = []
    const port = await serve((req, res) => {
      timeouts.push(req.socket.timeout ?? 0)
      res.end('x')
    })
    const client = new RawClient(port).send(request('GET', '/', []))
    await client.untilReceived('x')
    client.send(get('/'))
    await client.untilClosed()
    return timeouts
  },
  'socket._httpMessage is the response until it has finished': async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve((req, res) => {
      const { socket } = req
      const message = () => Reflect.get(socket, '_httpMessage')
      log.push(message() === res)
      res.on('finish', () => log.push(['finish', message() === null, res.socket === null]))
      res.on('close', () => log.push(['close', message() === null, req.socket === socket]))
      res.end('x')
      log.push(message() === res)
    })
    await exchange(port, get('/'))
    await until(() => log.length === 4)
    return log
  },
  'a response written to the socket as text': watched((req) => {
    req.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
  }),
  'a response written to the socket as text, then destroySoon()': watched((req) => {
    req.socket.write('HTTP/1.1 418 x\r\n')
    req.socket.write('\r\n')
    req.socket.destroySoon()
  }),
  'a write of a response to the socket calls back': watched((req, _res, log) => {
    req.socket.write('HTTP/1.1 204 No Content\r\n\r\n', () => {
      log.push('written')
      req.socket.end(() => log.push('ended'))
    })
  }),
  'interim responses written to the socket as text precede the responses': async ({ serve }) => {
    const port = await serve((req, res) => {
      req.socket.write(HINTS + HINTS.slice(0, 20))
      req.socket.write(HINTS.slice(20))
      setTimeout(() => res.end(req.url), 20)
    })
    const client = new RawClient(port).send(request('GET', '/1', []))
    await client.untilReceived('\r\n\r\n/1')
    return masked(await client.send(get('/2')).untilClosed())
  },
  'an interim response and a response written to the socket in one text': watched((req) => {
    req.socket.end(`${HINTS}HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok`)
  }),
  'a body written to the socket after the head of a response': watched((_req, res) => {
    res.writeHead(200, { 'content-length': 6 })
    res.write('abc')
    setTimeout(() => {
      res.socket?.write('def')
      res.socket?.end()
    }, 20)
  }),
  'a property of the socket is kept for later requests of the connection': async ({ serve }) => {
    const seen: unknown[] = []
    const port = await serve((req, res) => {
      seen.push(Reflect.get(req.socket, 'mine'))
      Reflect.set(req.socket, 'mine', req.url)
      res.end('x')
    })
    await exchange(port, request('GET', '/1', []) + request('GET', '/2', []) + get('/3'))
    return seen
  },
  "a 'close' listener for each request emits no MaxListenersExceededWarning": async ({ serve }) => {
    let warned = 0
    const count = (warning: Error): void => {
      if (warning.name === 'MaxListenersExceededWarning') warned++
    }
    process.on('warning', count)
    const port = await serve((req, res) => {
      req.socket.on('close', () => {})
      res.end('x')
    })
    const client = new RawClient(port)
    client.send(request('GET', '/', []).repeat(4) + get('/'))
    const answer = masked(await client.untilClosed())
    process.off('warning', count)
    return [answer, warned]
  },
  'assignSocket() of a socket in use throws': found((socket, req) => {
    const other = new http.ServerResponse(req)
    try {
      other.assignSocket(socket)
      return 'taken'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  }),
  "an application's own ServerResponse on the socket is sent": async ({ serve }) => {
    const port = await serve((req, res) => {
      res.detachSocket(req.socket)
      const other = new http.ServerResponse(req)
      other.assignSocket(req.socket)
      other.shouldKeepAlive = false
      other.on('finish', () => req.socket.end())
      other.end('other')
    })
    return exchange(port, get('/'))
  },
}
