// Throws in a handler: the uncaught exception terminates the process.
const http = require('node:http')
const server = http.createServer(() => {
  throw new Error('from the handler')
})
process.on('exit', (code) => console.log('exit', code))
server.listen(0, '127.0.0.1', () => http.get(`http://127.0.0.1:${server.address().port}`))
