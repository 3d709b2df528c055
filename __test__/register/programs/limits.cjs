// Sets limits on each server separately, also while it listens.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

async function sendRequest(server, text) {
  const client = net.connect(server.address().port, '127.0.0.1').on('error', () => {})
  client.write(text)
  let response = ''
  client.on('data', (data) => (response += data))
  await once(client, 'close')
  return response
}
const get = 'GET / HTTP/1.1\r\nHost: x\r\n'

async function main() {
  const small = http.createServer({ maxHeaderSize: 1024 }, (_req, res) => res.end('x'))
  const large = http.createServer((_req, res) => res.end('x'))
  for (const server of [small, large]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    server.keepAliveTimeout = 1
    server.keepAliveTimeoutBuffer = 100
  }
  const long = `${get}X: ${'y'.repeat(2000)}\r\n\r\n`
  console.log((await sendRequest(small, long)).split('\r\n')[0])
  console.log((await sendRequest(large, `${long}`)).replace(/Date: .*?\r\n/, ''))
  console.log((await sendRequest(large, `${get}X: ${'y'.repeat(17_000)}\r\n\r\n`)).split('\r\n')[0])
  // Node counts the target, the names and the values: here 8 bytes and the last value.
  for (const length of [1015, 1016]) {
    const head = `${get}X: ${'y'.repeat(length)}\r\n\r\n`
    console.log(length, (await sendRequest(small, head)).split('\r\n')[0])
  }
  const few = http.createServer((req, res) => res.end(`${Object.keys(req.headers).length}`))
  few.listen(0, '127.0.0.1')
  few.maxHeadersCount = 4
  await once(few, 'listening')
  console.log(
    (await sendRequest(few, `${get}Connection: close\r\n${'A: b\r\n'.repeat(9)}\r\n`)).slice(0, 12),
  )
  few.close()
  const idle = http.createServer(() => {})
  idle.setTimeout(200, (socket) => {
    console.log('timeout')
    socket.destroy()
  })
  idle.listen(0, '127.0.0.1')
  await once(idle, 'listening')
  console.log(await sendRequest(idle, ''))
  idle.close()
  large.keepAliveTimeout = 0
  console.log(
    await sendRequest(large, `${get}Connection: close\r\n\r\n`).then((text) => text.length > 0),
  )
  small.close()
  large.close()
}
main()
