// Sends requests beyond `maxRequestsPerSocket`, with empty lines between them.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

async function main() {
  const server = http.createServer((req, res) => res.end(req.url))
  server.keepAliveTimeout = 50
  server.maxRequestsPerSocket = 1
  server.on('dropRequest', ({ url }) => console.log('dropped', url))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect(server.address().port, '127.0.0.1').setEncoding('latin1')
  for (const path of ['/1', '/2']) client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\n`)
  let received = ''
  client.on('data', (text) => {
    received += text
  })
  await once(client, 'close')
  console.log(received.replace(/Date: [^\r]*/g, 'Date: D'))
  server.close()
}

main()
