// A body that nobody reads is read on until the client has sent it, and the connection serves on.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

const second = 'GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/** Sends a head and a part of a body; the rest when the answer has come, and a request behind it. */
async function upload(port, head, part, rest) {
  const client = net.connect(port, '127.0.0.1').on('error', () => {})
  client.write(`POST / HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${part}`)
  let answer = ''
  client.on('data', (data) => (answer += data))
  await once(client, 'data')
  // One at a time, as a client does that looks at each answer first.
  for (const each of rest) await new Promise((sent) => client.write(each, sent))
  client.write(second)
  await once(client, 'close')
  console.log(answer.replace(/Date: .*?\r\n/g, ''))
}

async function main() {
  const server = http.createServer((req, res) => res.end(`answer to ${req.url}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const piece = 'x'.repeat(0x10000)
  await upload(port, 'Transfer-Encoding: chunked', '5\r\nhello\r\n', [
    `10000\r\n${piece}\r\n`,
    '0\r\n\r\n',
  ])
  await upload(port, `Content-Length: ${40 * 0x10000}`, '', new Array(40).fill(piece))
  server.close()
}
main()
