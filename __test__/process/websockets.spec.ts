// What people run over upgrades, started unchanged by the real command on both engines.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { io } from 'socket.io-client'
import { WebSocket } from 'ws'

import { ENGINES, isAlive, type Program, serveArgs, startProgram, until } from './program.ts'

// Applications are in a directory of their own, and resolve packages from here.
const env = { NODE_PATH: fileURLToPath(new URL('../../node_modules', import.meta.url)) }

const WS_APP = `
  const http = require('http')
  const { WebSocketServer } = require('ws')
  const server = http.createServer((req, res) => res.end(String(process.pid)))
  const options = { path: '/echo', perMessageDeflate: { threshold: 0 } }
  const sockets = new WebSocketServer({ server, ...options })
  sockets.on('connection', (socket, req) => {
    socket.on('message', (data, binary) => {
      if (String(data) === 'pid') return socket.send(String(process.pid))
      if (String(data) === 'terminate') return socket.terminate()
      socket.send(data, { binary })
    })
    socket.on('close', (code) => console.error('closed with', code))
  })
  server.listen(3000)`

function start(t: ExecutionContext, source: string, args: readonly string[]): Program {
  return startProgram(t, { files: { 'app.cjs': source }, args, env })
}

/** A client that keeps the messages it receives. */
class Client {
  readonly socket: WebSocket
  readonly received: string[] = []
  readonly closed: Promise<number>

  constructor(port: number, path = '/echo') {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
    this.socket.on('message', (data) => this.received.push(String(data)))
    // 'close' has the reason of the end.
    this.socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      this.socket.on('close', resolve)
    })
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.socket.on('open', resolve)
      this.socket.on('error', reject)
    })
    return this
  }

  async ask(text: string): Promise<string> {
    const count = this.received.length
    this.socket.send(text)
    await until(() => this.received.length > count, `an answer to ${text.slice(0, 20)}`)
    return this.received[count] ?? ''
  }
}

for (const engine of ENGINES) {
  test.serial(`${engine}: ws echoes small and large messages, and logs one line`, async (t) => {
    const args = serveArgs(engine, '-w', '1', '--access-logfile', 'access')
    const program = await start(t, WS_APP, args).ready(1)
    const client = await new Client(program.port).open()
    t.is(await client.ask('hello'), 'hello')
    const long = 'é'.repeat(1_000_000)
    t.is(await client.ask(long), long)
    const binary = Buffer.from([0, 1, 2, 255])
    const echoed = new Promise<Buffer>((resolve) => {
      client.socket.once('message', (data, isBinary) => isBinary && resolve(data as Buffer))
    })
    client.socket.send(binary)
    t.deepEqual(await echoed, binary)
    client.socket.close(1000)
    t.is(await client.closed, 1000)
    await program.line(/closed with 1000/)
    const log = join(program.directory, 'access')
    await until(() => readFileSync(log, 'utf8').includes('\n'), 'the line of the log')
    t.regex(readFileSync(log, 'utf8'), /^127\.0\.0\.1 .* "GET \/echo HTTP\/1\.1" 101 \d+ .*\n$/)
  })

  test.serial(`${engine}: a refused, a terminated and a lost WebSocket`, async (t) => {
    const program = await start(t, WS_APP, serveArgs(engine, '-w', '1')).ready(1)
    await t.throwsAsync(new Client(program.port, '/elsewhere').open(), { message: /400/ })
    const terminated = await new Client(program.port).open()
    terminated.socket.send('terminate')
    t.is(await terminated.closed, 1006)
    await program.line(/closed with 1006/)
    const lost = await new Client(program.port).open()
    lost.socket.terminate()
    await program.line(/closed with 1006/)
    t.is((await program.get()).status, 200)
  })

  test.serial(
    `${engine}: HUP closes WebSockets with 1012, and who comes back is served`,
    async (t) => {
      const program = await start(t, WS_APP, serveArgs(engine, '-w', '2')).ready(2)
      const old = program.workers()
      const clients = await Promise.all(
        Array.from({ length: 20 }, () => new Client(program.port).open()),
      )
      const before = await Promise.all(clients.map((client) => client.ask('pid')))
      t.true(before.every((pid) => old.includes(Number(pid))))
      const back = clients.map(async (client) => {
        for (let one = client; ; ) {
          t.is(await one.closed, 1012)
          one = await new Client(program.port).open()
          // It may have come to the other one of the old workers, which is about to end.
          const answer = await Promise.race([one.ask('hello again'), one.closed])
          if (typeof answer === 'string') return answer
        }
      })
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
      t.deepEqual(new Set(await Promise.all(back)), new Set(['hello again']))
      await until(() => !old.some(isAlive), 'the old workers are gone')
      t.notRegex(program.log, /killing/)
    },
  )

  test.serial(`${engine}: TERM ends with 0 although a client never closes`, async (t) => {
    const program = await start(t, WS_APP, serveArgs(engine, '-w', '1')).ready(1)
    const key =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
    const client = net.connect(program.port, '127.0.0.1')
    client.write(`GET /echo HTTP/1.1\r\nHost: x\r\n${key}\r\n\r\n`)
    let received = ''
    client.setEncoding('latin1').on('data', (text) => {
      received += text
    })
    await until(() => received.endsWith('\r\n\r\n'), 'the handshake')
    const accepted = performance.now()
    program.signal('SIGTERM')
    await until(() => received.endsWith('\x88\x02\x03\xf4'), 'the close frame')
    // A WebSocket has its first second: an Engine.IO client moves its session to it.
    t.true(performance.now() - accepted > 800)
    t.is(await program.exited, 0)
    client.destroy()
    t.notRegex(program.log, /killing/)
  })

  test.serial(
    `${engine}: Socket.IO by polling, by WebSocket, and from one to the other`,
    async (t) => {
      const source = `
      const http = require('http')
      const { Server } = require('socket.io')
      const server = http.createServer()
      const io = new Server(server)
      io.on('connection', (socket) => {
        socket.on('echo', (data, reply) => reply(data))
        socket.on('shout', (text) => io.emit('received', text))
      })
      server.listen(3000)`
      const program = await start(t, source, serveArgs(engine, '-w', '1')).ready(1)
      for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
        const client = io(`http://127.0.0.1:${program.port}`, { transports, forceNew: true })
        const received = new Promise((resolve) => client.on('received', resolve))
        t.deepEqual(await client.emitWithAck('echo', { a: [1, 'é'] }), { a: [1, 'é'] })
        const bytes = Buffer.alloc(100_000, 7)
        t.deepEqual(await client.emitWithAck('echo', bytes), bytes)
        client.emit('shout', 'all')
        t.is(await received, 'all')
        if (transports.length === 2) {
          await until(() => client.io.engine.transport.name === 'websocket', 'the upgrade')
          t.is(await client.emitWithAck('echo', 'upgraded'), 'upgraded')
        }
        client.disconnect()
      }
    },
  )

  test.serial(`${engine}: @fastify/websocket, beside ordinary routes and refusals`, async (t) => {
    const source = `
      const app = require('fastify')()
      app.register(require('@fastify/websocket'))
      app.register(async (scope) => {
        scope.get('/echo', { websocket: true }, (socket) => {
          socket.on('message', (data) => socket.send(String(data)))
        })
        scope.get('/plain', async () => 'plain')
      })
      app.listen({ port: 3000 })`
    const program = await start(t, source, serveArgs(engine, '-w', '1')).ready(1)
    const client = await new Client(program.port).open()
    t.is(await client.ask('hello'), 'hello')
    client.socket.close()
    await client.closed
    t.is((await program.get('/plain')).body, 'plain')
    await t.throwsAsync(new Client(program.port, '/missing').open(), { message: /404/ })
  })

  test.serial(`${engine}: http-proxy before a WebSocket server, both served by us`, async (t) => {
    const target = await start(t, WS_APP, serveArgs(engine, '-w', '1')).ready(1)
    const source = `
      require('http-proxy')
        .createProxyServer({ target: 'http://127.0.0.1:${target.port}', ws: true })
        .on('error', (error, req, res) => res.end?.())
        .listen(3000)`
    const proxy = await start(t, source, serveArgs(engine, '-w', '1')).ready(1)
    t.is((await proxy.get()).body, String(target.workers()[0]))
    const client = await new Client(proxy.port).open()
    const long = 'x'.repeat(500_000)
    t.is(await client.ask(long), long)
    client.socket.close(1000)
    t.is(await client.closed, 1000)
  })

  test.serial(`${engine}: CONNECT to a proxy written by hand`, async (t) => {
    const target = http.createServer((req, res) => res.end(`target ${req.url}`))
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
    t.teardown(() => void target.close())
    const source = `
      const http = require('http'), net = require('net')
      const server = http.createServer((req, res) => res.end('proxy'))
      server.on('connect', (req, socket, head) => {
        const [host, port] = req.url.split(':')
        const other = net.connect(port, host, () => {
          socket.write('HTTP/1.1 200 Connection Established\\r\\n\\r\\n')
          other.write(head)
          socket.pipe(other).pipe(socket)
        })
        other.on('error', () => socket.destroy())
        socket.on('error', () => other.destroy())
      })
      server.listen(3000)`
    const program = await start(t, source, serveArgs(engine, '-w', '1')).ready(1)
    const { port } = target.address() as net.AddressInfo
    const client = net.connect(program.port, '127.0.0.1')
    client.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)
    client.write('GET /through HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    let received = ''
    for await (const text of client.setEncoding('latin1')) received += text
    t.regex(received, /^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    t.regex(received, /target \/through$/)
  })
}
