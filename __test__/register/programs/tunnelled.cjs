// Serves HTTP on a socket that 'connect' has given to the program, as proxies do.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

async function sendThrough(server, target) {
  const client = net.connect(server.address().port, '127.0.0.1').setEncoding('latin1')
  client.write(`CONNECT ${target} HTTP/1.1\r\nHost: example.com:80\r\n\r\n`)
  await once(client, 'data')
  client.write('GET /inner HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n')
  let received = ''
  client.on('data', (text) => {
    received += text
  })
  await once(client, 'end')
  client.destroy()
  console.log(received.replace(/Date: [^\r]*/, 'Date: D'))
}

async function main() {
  const server = http.createServer((req, res) => {
    console.log(req.url, req.socket.parser !== null)
    res.end('through the tunnel')
  })
  server.on('connect', (_req, socket) => {
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    server.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Node accepts a path too, which a client sends that is given no target.
  for (const target of ['example.com:80', '/path']) await sendThrough(server, target)
  server.close()
}

main()
