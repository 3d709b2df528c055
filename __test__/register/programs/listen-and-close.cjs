// The life cycle of a server: events, callbacks, address, connections, closing, listening again.
const http = require('node:http')
const log = (...values) => console.log(...values)

const agent = new http.Agent({ keepAlive: true })
const server = http.createServer((_req, res) => res.end('hello'))
for (const event of ['listening', 'connection', 'request', 'close']) {
  server.on(event, () => log(event, server.listening))
}
const returned = server.listen({ port: 0, host: '127.0.0.1', backlog: 16 }, () => {
  const { address, family, port } = server.address()
  log('callback', address, family, port > 0)
  get(port, () => {
    server.getConnections((error, count) => log('connections', error, count))
    server.close((error) => {
      log('closed', error, server.address())
      server.close((error) => log('again', error.code))
      server.listen(0, () => {
        log('listens again', server.address().address)
        get(server.address().port, () => {
          agent.destroy()
          server.closeAllConnections()
          server.close()
        })
      })
    })
  })
})
log('returned', returned === server, server.listening)
try {
  server.listen(0)
} catch (error) {
  log(error.code)
}

function get(port, callback) {
  http.get({ port, agent, host: 'localhost' }, (res) => {
    log(res.statusCode, res.headers.connection, res.headers['keep-alive'])
    res.resume().on('end', () => setImmediate(callback))
  })
}
