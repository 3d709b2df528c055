// A WebSocket server that sends each message back; what else it answers says that it is there.

import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

export const app = createServer((_req, res) => res.end('Hello, World!'))

new WebSocketServer({ server: app, perMessageDeflate: false }).on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
