// A Socket.IO server that sends each event back.

import { createServer } from 'node:http'
import { Server } from 'socket.io'

export const app = createServer((_req, res) => res.end('Hello, World!'))

new Server(app, { transports: ['websocket'] }).on('connection', (socket) => {
  socket.on('echo', (text) => socket.emit('echo', text))
})
