// Prints which engine serves: only the sockets of Node have a handle.
const http = require('node:http')
const server = http.createServer((req, res) => {
  console.log(req.socket._handle === null ? 'native' : 'node')
  res.end()
  server.close()
})
server.listen(0, '127.0.0.1', () =>
  http.get({ port: server.address().port, host: '127.0.0.1', agent: false }, (res) => res.resume()),
)
