import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import test from 'ava'
import express from 'express'
import fastify from 'fastify'
import { captureListen } from '../../ts/http/node/listen.ts'
import { exchange, get } from './client.ts'
import { startNode } from './engines.ts'

const publicAddress = 'http://127.0.0.1:18000'
const capture = () => captureListen({ publicAddress })
const listener: http.RequestListener = (_req, res) => void res.end('x')

/** Whether a port is open on this machine. */
async function isOpen(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  const opened = await Promise.race([
    once(socket, 'connect').then(() => true),
    new Promise<boolean>((resolve) => socket.on('error', () => resolve(false))),
  ])
  socket.destroy()
  return opened
}

/** Free a moment ago; other suites run beside this one. */
async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '0.0.0.0')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

const PORT = await freePort()

const signatures: Readonly<Record<string, (server: http.Server, done: () => void) => void>> = {
  'a port': (server, done) => server.listen(PORT, done),
  'a port as text': (server, done) => server.listen(String(PORT) as never, done),
  'port and host': (server, done) => server.listen(PORT, '0.0.0.0', done),
  'port and backlog': (server, done) => server.listen(PORT, 128, done),
  'port, host and backlog': (server, done) => server.listen(PORT, '127.0.0.1', 128, done),
  options: (server, done) => server.listen({ port: PORT, host: '::' }, done),
  'options with a path that is false': (server, done) =>
    server.listen({ path: false, port: PORT } as never, done),
  'a host name': (server, done) => server.listen(PORT, 'localhost', done),
}

for (const [title, listen] of Object.entries(signatures)) {
  test.serial(`listen() with ${title} succeeds and opens no port`, async (t) => {
    const captured = capture()
    const server = http.createServer(listener)
    let early = false
    const listening = once(server, 'listening')
    await new Promise<void>((resolve) => {
      listen(server, resolve)
      early = server.listening && captured.server === undefined
    })
    await listening
    t.false(early)
    t.true(server.listening)
    t.is(captured.server, server)
    t.is(await captured.waitForServer(0), server)
    t.deepEqual(server.address(), { address: '127.0.0.1', family: 'IPv4', port: 18_000 })
    t.false(await isOpen(PORT))
    t.throws(() => server.listen(PORT), { code: 'ERR_SERVER_ALREADY_LISTEN' })
    await new Promise((resolve) => server.close(resolve))
    t.false(server.listening)
    t.is(server.address(), null)
    captured.restoreListen()
  })
}

test.serial('a server can listen again after it has closed', async (t) => {
  const captured = capture()
  const server = http.createServer(listener).listen(PORT)
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
  server.listen(PORT)
  await once(server, 'listening')
  t.is(captured.server, server)
  server.close()
  captured.restoreListen()
})

test.serial('an application that probes whether its port is free finds that it is', async (t) => {
  // As it is in a worker: the arbiter has it.
  const taken = net.createServer().listen(0, '0.0.0.0')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const captured = captureListen({ publicAddress: `http://127.0.0.1:${port}` })
  const probe = net.createServer().listen(port, '127.0.0.1')
  await once(probe, 'listening')
  t.is((probe.address() as AddressInfo).port, port)
  probe.close()
  await once(probe, 'close')
  t.is(captured.server, undefined)
  const server = http.createServer(listener).listen(port)
  await once(server, 'listening')
  t.is(captured.server, server)
  server.close()
  captured.restoreListen()
  const strange = net.createServer().listen(port, '127.0.0.1')
  const [error] = await once(strange, 'error')
  t.is(error.code, 'EADDRINUSE')
  taken.close()
})

test.serial('a second server on another port really listens', async (t) => {
  const captured = capture()
  const main = http.createServer(listener).listen(PORT)
  const port = await freePort()
  const metrics = http.createServer(listener).listen(port, '127.0.0.1')
  await once(metrics, 'listening')
  t.is(captured.server, main)
  t.regex(await exchange(port, get('/')), /x$/)
  metrics.close()
  main.close()
  captured.restoreListen()
})

test.serial(
  'the first server to call listen() is the application, even if its host must be resolved',
  async (t) => {
    const captured = capture()
    const port = await freePort()
    const main = http.createServer(listener).listen(PORT, '0.0.0.0')
    const metrics = http.createServer(listener).listen(port)
    await Promise.all([main, metrics].map((server) => once(server, 'listening')))
    t.is(captured.server, main)
    t.true(await isOpen(port))
    metrics.close()
    main.close()
    captured.restoreListen()
  },
)

test.serial(
  'a server on port 0 really listens, and is the application only if no other listens',
  async (t) => {
    const captured = capture()
    const helper = http.createServer(listener).listen(0, '127.0.0.1')
    await once(helper, 'listening')
    t.true(await isOpen((helper.address() as AddressInfo).port))
    t.is(captured.server, undefined)
    t.is(await captured.waitForServer(50), helper)
    helper.close()
    captured.restoreListen()
  },
)

test.serial('servers of node:net are left to node', async (t) => {
  const captured = capture()
  const port = await freePort()
  const plain = net.createServer().listen(port, '127.0.0.1')
  await once(plain, 'listening')
  t.true(await isOpen(port))
  plain.close()
  t.is(captured.server, undefined)
  captured.restoreListen()
})

test.serial('Express listens, and its callback is called without an error', async (t) => {
  const captured = capture()
  const error = await new Promise((resolve) => express().listen(PORT, resolve))
  t.is(error, undefined)
  t.true(captured.server instanceof http.Server)
  captured.server?.close()
  captured.restoreListen()
})

test.serial('Fastify listens on localhost, and its two servers are served as one', async (t) => {
  const captured = capture()
  const app = fastify()
  app.get('/', async () => 'hello')
  await app.listen({ port: PORT })
  t.is(captured.server, app.server)
  const { port, close } = await startNode(app.server)
  t.regex(await exchange(port, get('/')), /hello$/)
  close()
  await app.close()
  captured.restoreListen()
})

test.serial('waitForServer() gives up after its time', async (t) => {
  const captured = capture()
  t.is(await captured.waitForServer(30), undefined)
  captured.restoreListen()
})
