// The events and marks of a connection's socket: pauses, idle timeouts, and an upgraded socket that
// nothing reads.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

/** The socket is paused while the program does not read the body. */
async function pause() {
  const server = http.createServer((req, res) => {
    console.log('marks', req.socket.writableHighWaterMark, req.readableHighWaterMark)
    req.socket.once('pause', () => {
      console.log('paused', req.socket.isPaused())
      req.resume()
    })
    req.on('end', () => {
      console.log('resumed', !req.socket.isPaused())
      res.end()
    })
  })
  const port = await listen(server)
  const client = http.request({ port, host: '127.0.0.1', method: 'POST', agent: false })
  client.end(Buffer.alloc(1_000_000))
  const [response] = await once(client, 'response')
  response.resume()
  await once(response, 'end')
  server.close()
}

/** A socket with a timeout has the keep-alive timeout after its response, and emits 'timeout'. */
async function idle() {
  const server = http.createServer((req, res) => {
    console.log('request', req.url, req.socket.timeout)
    res.end('x')
  })
  server.keepAliveTimeout = 100
  server.setTimeout(5_000, (socket) => {
    console.log('idle', socket.timeout)
    socket.destroy()
  })
  const client = net.connect(await listen(server), '127.0.0.1').resume()
  client.write('GET /1 HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(client, 'data')
  client.write('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(client, 'close')
  server.close()
}

/** A write beyond the high-water mark returns false, and 'drain' follows. */
async function full() {
  const server = http.createServer((_req, res) => {
    console.log('write', res.write(Buffer.alloc(res.writableHighWaterMark + 1)))
    res.once('drain', () => res.end())
  })
  const client = http.get({ port: await listen(server), host: '127.0.0.1', agent: false })
  const [response] = await once(client, 'response')
  await once(response.resume(), 'end')
  server.close()
}

/** The process exits although a socket that nothing reads is open. */
async function unreadUpgrade() {
  const server = http.createServer()
  server.on('upgrade', (_req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  })
  const port = await listen(server)
  const headers = { connection: 'upgrade', upgrade: 'x' }
  const [, socket] = await once(http.get({ port, host: '127.0.0.1', headers }), 'upgrade')
  socket.destroy()
  server.close()
  process.on('exit', () => console.log('exit'))
}

pause().then(full).then(idle).then(unreadUpgrade)
