// Handles a rejection with the program's own listener; the server continues to serve.
const http = require('node:http')
const server = http.createServer(async (req, res) => {
  if (req.url === '/bad') throw new Error('rejected')
  res.end('fine')
})
process.on('unhandledRejection', (error) => {
  console.log(error.message)
  http.get(`http://127.0.0.1:${server.address().port}/good`, (res) => {
    console.log(res.statusCode)
    process.exit(3)
  })
})
server.listen(0, '127.0.0.1', () =>
  http.get(`http://127.0.0.1:${server.address().port}/bad`).on('error', () => {}),
)
