// Does not read a body: the server discards it, and the connection continues to serve.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

const SECOND_REQUEST = 'GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/**
 * Sends a head and a part of a body. After the response it sends the rest and a second request.
 */
async function upload(port, head, part, rest) {
  const client = net.connect(port, '127.0.0.1').on('error', () => {})
  client.write(`POST / HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${part}`)
  let response = ''
  client.on('data', (data) => (response += data))
  await once(client, 'data')
  // One write at a time, like a client that reads between its writes.
  for (const part of rest) await new Promise((sent) => client.write(part, sent))
  client.write(SECOND_REQUEST)
  await once(client, 'close')
  console.log(response.replace(/Date: .*?\r\n/g, ''))
}

async function main() {
  const server = http.createServer((req, res) => res.end(`response to ${req.url}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const chunk = 'x'.repeat(0x10000)
  await upload(port, 'Transfer-Encoding: chunked', '5\r\nhello\r\n', [
    `10000\r\n${chunk}\r\n`,
    '0\r\n\r\n',
  ])
  await upload(port, `Content-Length: ${40 * 0x10000}`, '', new Array(40).fill(chunk))
  server.close()
}
main()
