// A script as it runs with `node server.cjs`: it listens by itself. Under Monoceros the same call
// opens no port.

const http = require('node:http')

const server = http.createServer((req, res) => {
  res.end('Hello from a script that listens\n')
})

server.listen(process.env.PORT ?? 3000, () => {
  console.log('listening on port', server.address().port)
})
