// Features that Node serves by itself: net, http2, sockets that the program provides, and lenient
// parsing.
const http = require('node:http')
const http2 = require('node:http2')
const net = require('node:net')
const { once } = require('node:events')

async function sendRequest(port, text) {
  const client = net.connect(port, '127.0.0.1')
  client.end(text)
  let response = ''
  for await (const data of client) response += data
  return response.split('\r\n')[0]
}

async function main() {
  const inner = http.createServer((_req, res) => res.end('x')).listen(0, '127.0.0.1')
  const outer = net.createServer({ allowHalfOpen: true }, (socket) =>
    inner.emit('connection', socket),
  )
  outer.listen(0, '127.0.0.1')
  await once(outer, 'listening')
  console.log(
    await sendRequest(
      outer.address().port,
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ),
  )
  inner.close()
  outer.close()

  const lenient = http.createServer({ requireHostHeader: false }, (_req, res) => res.end('x'))
  lenient.listen(0, '127.0.0.1')
  await once(lenient, 'listening')
  console.log(
    await sendRequest(lenient.address().port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'),
  )
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
