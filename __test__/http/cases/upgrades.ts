/** Connections that the application takes over by 'upgrade' or 'connect', and their sockets. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { createSelfSigned } from '../../../ts/tls/self-signed.ts'
import { exchange, get, RawClient, request } from '../client.ts'
import type { Scenarios } from '../suite.ts'

const UPGRADE = ['Connection: Upgrade', 'Upgrade: test']
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n'
/** Node has the property, and its types do not. */
const upgradeOf = (req: http.IncomingMessage) => (req as { upgrade?: boolean }).upgrade

const LONG = 3_000_000
/** More than any kernel holds for a client that does not read. */
const VERY_LONG = 24_000_000

type Taken = (req: http.IncomingMessage, socket: net.Socket, head: Buffer) => void

/** A server whose upgrades `taken` takes over; all else is answered with the URL. */
function server(taken: Taken): http.Server {
  return http
    .createServer((req, res) => res.end(`plain ${req.url}`))
    .on('upgrade', taken as (req: http.IncomingMessage, socket: Duplex, head: Buffer) => void)
}

/** The events of a socket, in order, until its end. */
function eventsOf(socket: net.Socket): { log: string[]; closed: Promise<void> } {
  const log: string[] = []
  socket.on('end', () => log.push('end'))
  socket.on('finish', () => log.push('finish'))
  socket.on('error', (error: NodeJS.ErrnoException) => log.push(`error ${error.code}`))
  const closed = new Promise<void>((resolve) => {
    socket.on('close', (hadError) => {
      log.push(`close ${hadError}`)
      resolve()
    })
  })
  return { log, closed }
}

/** Both sides of a connection that speaks TLS inside what a request has opened. */
async function tlsInside(port: number, head: string): Promise<unknown> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  socket.write(head)
  await once(socket, 'data')
  const inner = tls.connect({ socket, rejectUnauthorized: false })
  await once(inner, 'secureConnect')
  inner.write('hello')
  const [echoed] = await once(inner, 'data')
  socket.destroy()
  return String(echoed)
}

export const upgrades: Scenarios = {
  'TLS works inside the tunnel of a CONNECT and of an upgrade': async ({ serve }) => {
    const to = new Date(Date.now() + 3_600_000)
    const { certificate: cert, key } = createSelfSigned(['inner.test'], { from: new Date(0), to })
    const speak = (socket: Duplex, answer: string) => {
      socket.write(answer)
      new tls.TLSSocket(socket as net.Socket, { isServer: true, cert, key }).on(
        'data',
        function echo(this: tls.TLSSocket, data) {
          this.write(data)
        },
      )
    }
    const opened = server((_req, socket) => speak(socket, SWITCHING))
    opened.on('connect', (_req, socket) => speak(socket, 'HTTP/1.1 200 OK\r\n\r\n'))
    const port = await serve(opened)
    return [
      await tlsInside(port, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'),
      await tlsInside(port, request('GET', '/', UPGRADE)),
    ]
  },
  "an 'upgrade' listener gets request, socket and first bytes": async ({ serve }) => {
    let seen: unknown
    const port = await serve(
      server((req, socket, head) => {
        seen = {
          url: req.url,
          upgrade: upgradeOf(req),
          complete: req.complete,
          headers: req.headers,
          same: req.socket === socket,
          socket: socket instanceof net.Socket,
          head: Buffer.isBuffer(head) && String(head),
          address: socket.remoteAddress,
          family: socket.remoteFamily,
          local: socket.localAddress,
          state: socket.readyState,
          connecting: socket.connecting,
          pending: socket.pending,
          destroyed: socket.destroyed,
          allowHalfOpen: socket.allowHalfOpen,
          flowing: socket.readableFlowing,
          writtenBefore: socket.bytesWritten,
          listeners: ['data', 'error', 'timeout', 'drain'].map((it) => socket.listenerCount(it)),
        }
        socket.end(`${SWITCHING}done`)
      }),
    )
    const answer = await exchange(port, `${request('GET', '/up', UPGRADE)}first bytes`)
    return [answer, seen]
  },
  'a tunnel carries bytes both ways, also after the client half-closes': async ({ serve }) => {
    const logs: { log: string[]; closed: Promise<void> }[] = []
    const port = await serve(
      server((_req, socket) => {
        logs.push(eventsOf(socket))
        socket.write(SWITCHING)
        socket.on('data', (chunk) => socket.write(chunk))
        socket.on('end', () => socket.end('bye'))
      }),
    )
    const client = new RawClient(port).send(request('GET', '/', UPGRADE))
    await client.untilReceived('\r\n\r\n')
    await client.send('ping').untilReceived('ping')
    client.socket.end('last')
    const received = await client.untilClosed()
    await logs[0]?.closed
    return [received, logs[0]?.log]
  },
  'a tunnel stays readable after the server half-closes': async ({ serve }) => {
    let echoed = ''
    let events: { log: string[]; closed: Promise<void> } | undefined
    const port = await serve(
      server((_req, socket) => {
        events = eventsOf(socket)
        socket.on('data', (chunk) => {
          echoed += chunk
        })
        socket.end(`${SWITCHING}that is all`)
      }),
    )
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    client.write(request('GET', '/', UPGRADE))
    let received = ''
    client.setEncoding('latin1').on('data', (text) => {
      received += text
    })
    client.on('end', () => client.end('but mine'))
    await new Promise((resolve) => client.on('close', resolve))
    await events?.closed
    return [received, echoed, events?.log]
  },
  "without an 'upgrade' listener the request is an ordinary one": async ({ serve }) => {
    const port = await serve((req, res) => res.end(`${upgradeOf(req)} ${req.headers.upgrade}`))
    const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk']
    const client = new RawClient(port).send(request('GET', '/', h2c))
    await client.untilReceived('false h2c')
    client.send(request('POST', '/', [...UPGRADE, 'Content-Length: 2'], 'ok'))
    await client.untilReceived('false test')
    return (await client.send(get('/last')).untilClosed()).replace(/Date: [^\r]*/g, '')
  },
  'an Upgrade field without Connection: upgrade is ignored': async ({ serve }) => {
    const port = await serve(server((_req, socket) => socket.destroy()))
    return exchange(port, get('/', 'Upgrade: test'))
  },
  "a removed 'upgrade' listener gets no further request": async ({ serve }) => {
    const taken: Taken = (_req, socket) => socket.end(`${SWITCHING}taken`)
    const own = server(taken)
    const port = await serve(own)
    const answers = [await exchange(port, request('GET', '/1', UPGRADE))]
    own.removeAllListeners('upgrade')
    answers.push(
      await exchange(port, request('GET', '/2', ['Connection: Upgrade, close', 'Upgrade: x'])),
    )
    return answers
  },
  'an upgrade may follow an ordinary request on the connection': async ({ serve }) => {
    const sockets: net.Socket[] = []
    const own = server((_req, socket) => {
      sockets.push(socket)
      socket.end(`${SWITCHING}taken`)
    })
    own.on('request', (req) => sockets.push(req.socket))
    const port = await serve(own)
    const both = request('GET', '/first', []) + request('GET', '/second', UPGRADE)
    const answer = await exchange(port, both)
    return [answer, sockets[0] === sockets[1]]
  },
  "an 'upgrade' listener can write a refusal to the socket": async ({ serve }) => {
    const port = await serve(
      server((_req, socket) => {
        socket.write('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
        socket.destroySoon()
      }),
    )
    return exchange(port, request('GET', '/', UPGRADE))
  },
  "an 'upgrade' listener can respond with its own ServerResponse": async ({ serve }) => {
    const port = await serve(
      server((req, socket) => {
        const res = new http.ServerResponse(req)
        res.assignSocket(socket)
        res.shouldKeepAlive = false
        res.on('finish', () => {
          res.detachSocket(socket)
          socket.end()
        })
        res.writeHead(404, { 'X-By': 'hand' }).end('no')
      }),
    )
    return exchange(port, request('GET', '/', UPGRADE))
  },
  "a 'connect' listener gets the request, the socket and the first bytes": async ({ serve }) => {
    let seen: unknown
    const own = http.createServer((_req, res) => res.end('plain'))
    own.on('connect', (req, socket, head) => {
      seen = [req.method, req.url, upgradeOf(req), req.headers, String(head)]
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      socket.pipe(socket)
    })
    const port = await serve(own)
    const client = new RawClient(port).send(
      'CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\nhello',
    )
    await client.untilReceived('\r\n\r\n')
    client.send('echo').socket.end()
    return [await client.untilClosed(), seen]
  },
  "without a 'connect' listener a CONNECT closes the connection": async ({ serve }) => {
    const port = await serve(server((_req, socket) => socket.destroy()))
    return exchange(port, 'CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n')
  },
  'a reset by the client emits one error on the upgraded socket': async ({ serve }) => {
    let events: { log: string[]; closed: Promise<void> } | undefined
    const port = await serve(
      server((_req, socket) => {
        events = eventsOf(socket)
        socket.write(SWITCHING)
        socket.resume()
      }),
    )
    const client = new RawClient(port).send(request('GET', '/', UPGRADE))
    await client.untilReceived('\r\n\r\n')
    client.socket.resetAndDestroy()
    await events?.closed
    return events?.log
  },
  'an upgraded socket that is destroyed closes without an error': async ({ serve }) => {
    let events: { log: string[]; closed: Promise<void> } | undefined
    const port = await serve(
      server((_req, socket) => {
        events = eventsOf(socket)
        socket.write(SWITCHING, () => socket.destroy())
      }),
    )
    const answer = await exchange(port, request('GET', '/', UPGRADE))
    await events?.closed
    return [answer, events?.log, events?.log.length]
  },
  "write() to an upgraded socket returns false, and 'drain' follows": async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve(
      server((_req, socket) => {
        socket.write(SWITCHING)
        const chunk = Buffer.alloc(64 * 1024, 'x')
        let sent = 0
        const more = (): void => {
          while (sent < VERY_LONG) {
            sent += chunk.length
            if (!socket.write(chunk)) {
              if (log.length === 0)
                log.push('full', socket.writableLength > 0, socket.writableNeedDrain)
              socket.once('drain', more)
              return
            }
          }
          socket.end()
        }
        more()
      }),
    )
    const client = new RawClient(port)
    client.socket.pause()
    client.send(request('GET', '/', UPGRADE))
    setTimeout(() => client.socket.resume(), 50)
    return [(await client.untilClosed()).length, log]
  },
  'a paused upgraded socket stops its client and loses no bytes': async ({ serve }) => {
    const port = await serve(
      server((_req, socket) => {
        socket.write(SWITCHING)
        socket.pause()
        let length = 0
        setTimeout(() => {
          socket.on('data', (chunk) => {
            length += chunk.length
          })
          socket.on('end', () => socket.end(String(length)))
          socket.resume()
        }, 50)
      }),
    )
    const client = new RawClient(port).send(request('GET', '/', UPGRADE))
    await client.untilReceived('\r\n\r\n')
    client.socket.end('x'.repeat(LONG))
    return client.untilClosed()
  },
  'corked writes to an upgraded socket call back in order': async ({ serve }) => {
    const log: unknown[] = []
    let closed: Promise<void> | undefined
    const port = await serve(
      server((_req, socket) => {
        closed = eventsOf(socket).closed
        socket.cork()
        socket.write(SWITCHING, () => log.push('head'))
        socket.write('a', 'latin1', () => log.push('a'))
        socket.write(Buffer.from('é'), () => log.push('é'))
        socket.write('6869', 'hex', () => log.push('hi'))
        log.push(socket.writableLength > 0)
        socket.uncork()
        socket.end('.', () => log.push(socket.bytesWritten))
        socket.resume()
      }),
    )
    const answer = await exchange(port, request('GET', '/', UPGRADE))
    await closed
    return [answer, log]
  },
  'an upgraded socket can have a timeout': async ({ serve }) => {
    const port = await serve(
      server((_req, socket) => {
        socket.write(SWITCHING)
        socket.setTimeout(30, () => socket.end('timed out'))
      }),
    )
    return exchange(port, request('GET', '/', UPGRADE))
  },
  'an upgraded socket has the methods that libraries call': async ({ serve }) => {
    const port = await serve(
      server((_req, socket) => {
        socket.setTimeout(0)
        socket.setNoDelay(true)
        socket.setKeepAlive(true, 0)
        const same = socket.ref() === socket && socket.unref() === socket && socket.ref() === socket
        const { address, family } = socket.address() as net.AddressInfo
        socket.end(`${SWITCHING}${same} ${address} ${family}`)
      }),
    )
    return exchange(port, request('GET', '/', UPGRADE))
  },
  'close() waits for an upgraded socket, which stays open': async ({ serve }) => {
    const log: unknown[] = []
    const own = server((_req, socket) => {
      socket.write(SWITCHING)
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end())
    })
    const port = await serve(own)
    const client = new RawClient(port).send(request('GET', '/', UPGRADE))
    await client.untilReceived('\r\n\r\n')
    const closed = new Promise<void>((resolve) => {
      own.close(() => {
        log.push('server closed')
        resolve()
      })
    })
    own.closeIdleConnections()
    own.closeAllConnections()
    await client.send('still there').untilReceived('still there')
    log.push(await new Promise((resolve) => own.getConnections((_error, count) => resolve(count))))
    client.socket.end()
    await client.untilClosed()
    await closed
    return log
  },
  "every 'upgrade' listener is called": async ({ serve }) => {
    const log: string[] = []
    const own = server((_req, socket) => {
      log.push('first')
      socket.write(SWITCHING)
    })
    own.on('upgrade', (_req, socket) => {
      log.push('second')
      socket.end('second')
    })
    const answer = await exchange(await serve(own), request('GET', '/', UPGRADE))
    return [answer, log]
  },
  'shouldUpgradeCallback decides, where this Node has it': async ({ serve }) => {
    const options = { shouldUpgradeCallback: (req: http.IncomingMessage) => req.url === '/yes' }
    const own = http.createServer(options as http.ServerOptions, (req, res) =>
      res.end(String(upgradeOf(req))),
    )
    own.on('upgrade', (_req, socket) => socket.end(`${SWITCHING}taken`))
    const port = await serve(own)
    const fields = ['Connection: Upgrade, close', 'Upgrade: x']
    return [
      await exchange(port, request('GET', '/yes', fields)),
      await exchange(port, request('GET', '/no', fields)),
    ]
  },
}
