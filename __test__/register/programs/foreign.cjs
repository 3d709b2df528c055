// What is not the engine's business stays node's own: net, http2, sockets that the program brings, lenient parsing.
const http = require('node:http')
const http2 = require('node:http2')
const net = require('node:net')
const { once } = require('node:events')

async function talk(port, text) {
  const client = net.connect(port, '127.0.0.1')
  client.end(text)
  let answer = ''
  for await (const data of client) answer += data
  return answer.split('\r\n')[0]
}

async function main() {
  const behind = http.createServer((_req, res) => res.end('x')).listen(0, '127.0.0.1')
  const front = net.createServer({ allowHalfOpen: true }, (socket) =>
    behind.emit('connection', socket),
  )
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  console.log(
    await talk(front.address().port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
  )
  behind.close()
  front.close()

  const lenient = http.createServer({ requireHostHeader: false }, (_req, res) => res.end('x'))
  lenient.listen(0, '127.0.0.1')
  await once(lenient, 'listening')
  console.log(await talk(lenient.address().port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'))
  lenient.close()

  const two = http2.createServer((_req, res) => res.end('two')).listen(0, '127.0.0.1')
  await once(two, 'listening')
  const session = http2.connect(`http://127.0.0.1:${two.address().port}`)
  const stream = session.request({ ':path': '/' })
  const [headers] = await once(stream, 'response')
  console.log(headers[':status'])
  stream.resume().on('end', () => {
    session.close()
    two.close()
  })
}
main()
