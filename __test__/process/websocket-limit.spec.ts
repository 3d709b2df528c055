// The setting websocket_max_message_size, seen by a client and by the application.

import { fileURLToPath } from 'node:url'
import test from 'ava'
import { WebSocket } from 'ws'

import { ENGINES, serveArgs, startProgram, until } from './program.ts'

// Applications are in a directory of their own, and resolve packages from here.
const env = { NODE_PATH: fileURLToPath(new URL('../../node_modules', import.meta.url)) }

const APP = `
  const http = require('http')
  const { WebSocketServer } = require('ws')
  const server = http.createServer()
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('message', (data) => socket.send(String(data.length)))
    socket.on('close', (code) => console.error('closed with', code))
  })
  server.listen(3000)`

for (const engine of ENGINES) {
  test.serial(`${engine}: websocket_max_message_size closes with 1009`, async (t) => {
    const args = serveArgs(engine, '--websocket-max-message-size', '70000')
    const program = await startProgram(t, { files: { 'app.cjs': APP }, args, env }).ready(1)
    const socket = new WebSocket(`ws://127.0.0.1:${program.port}`)
    const received: string[] = []
    socket.on('message', (data) => received.push(String(data)))
    const closed = new Promise((done) => socket.once('close', done))
    await new Promise((done) => socket.once('open', done))
    socket.send(Buffer.alloc(70_000))
    // Fragments count together.
    for (const fin of [false, true]) socket.send(Buffer.alloc(35_000), { fin })
    await until(() => received.length === 2, 'two answers')
    t.deepEqual(received, ['70000', '70000'])
    socket.send(Buffer.alloc(70_001))
    t.is(await closed, 1009)
    await program.line(/closed with 1009/)
    t.is(received.length, 2)
  })
}
