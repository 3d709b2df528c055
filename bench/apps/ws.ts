// A WebSocket server that echoes each message; any other request gets a response that shows it is
// up.

import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

export const app = createServer((_req, res) => res.end('Hello, World!'))

new WebSocketServer({ server: app, perMessageDeflate: false }).on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
