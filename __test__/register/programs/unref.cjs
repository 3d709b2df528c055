// Unreferences the server and its socket: the process exits when nothing referenced is left.
const http = require('node:http')
const net = require('node:net')
const server = http.createServer((_req, res) => res.end('x'))
server.on('connection', (socket) => {
  console.log(socket.unref() === socket)
  server.unref()
  client.unref()
  process.on('exit', () => console.log('exit', server.listening, socket.destroyed))
})
let client
server.listen(0, '127.0.0.1', () => {
  client = net.connect(server.address().port, '127.0.0.1')
})
