// Counts, refuses, closes and waits for the connections of a server.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

const count = (server) =>
  new Promise((resolve) => server.getConnections((_error, number) => resolve(number)))

async function main() {
  const server = http.createServer((_req, res) => res.end('x')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const connect = async () => {
    const accepted = once(server, 'connection')
    const client = net.connect(port, '127.0.0.1').on('error', () => {})
    await once(client, 'connect')
    const [socket] = await accepted
    return { client, socket }
  }

  const one = await connect()
  console.log('silent', await count(server), one.socket.remotePort === one.client.localPort)
  server.maxConnections = 1
  const dropped = once(server, 'drop')
  const refused = net.connect(port, '127.0.0.1').on('error', () => {})
  const [info] = await dropped
  console.log('drop', Object.keys(info).sort().join(), info.remotePort === refused.localPort)
  await once(refused, 'close')
  server.maxConnections = undefined

  const two = await connect()
  two.client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(two.client, 'data')
  console.log('answered', await count(server))
  await new Promise(setImmediate)
  server.closeIdleConnections()
  await once(two.client, 'close')
  console.log('idle closed', await count(server), one.socket.destroyed, two.socket.destroyed)

  let isClosed = false
  server.close(() => {
    isClosed = true
    console.log('closed')
  })
  // The silent connection keeps the server from closing, however long that takes.
  await new Promise((resolve) => setTimeout(resolve, 100))
  console.log('waits', isClosed, await count(server))
  server.closeAllConnections()
  await once(one.client, 'close')
}
main()
