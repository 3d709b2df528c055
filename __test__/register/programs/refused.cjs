// Refuses malformed requests with Node's response or with that of the program.
const http = require('node:http')
const net = require('node:net')
const { once } = require('node:events')

const options = { connectionsCheckingInterval: 50 }
const limits = { headersTimeout: 300, requestTimeout: 300 }

async function exchange(server, parts, { endAfter = false } = {}) {
  const client = net.connect({
    port: server.address().port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  })
  let received = ''
  client.setEncoding('latin1').on('data', (data) => {
    received += data
  })
  const ended = once(client, 'end')
  for (const part of parts) {
    client.write(part)
    // The server reads each part by itself.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  if (endAfter) client.end()
  await ended
  client.destroy()
  return received.replace(/Date: [^\r]*/g, 'Date: D')
}

const get = 'GET / HTTP/1.1\r\nHost: x\r\n'
const REQUESTS = {
  'a bad method': ['G@T / HTTP/1.1\r\nHost: x\r\n\r\n'],
  'an unknown method': ['UNKNOWN_METHOD / HTTP/1.1\r\nHost: x\r\n\r\n'],
  'a method that begins as a known one': ['Oopsie\r\n'],
  'a method of another protocol': ['\r\nFOO /\r\n'],
  'a known method without a space': ['GETT / HTTP/1.1\r\nHost: x\r\n\r\n'],
  'a CR without LF in a field': [`${get}a: b\rc\r\n\r\n`],
  'a bad version': ['GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
  'a bad field': [`${get}a b: c\r\n\r\n`],
  'a head above the limit': [`${get}a: ${'x'.repeat(20_000)}\r\n\r\n`],
  'two lengths': ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx'],
  'a length and a transfer coding': [
    'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
  ],
  'two hosts and two types of content': [
    `${get}Host: y\r\nContent-Type: a\r\nContent-Type: b\r\nConnection: close\r\n\r\n`,
  ],
  'an incomplete head': [get],
  'a connection without a request': [],
  'empty lines between requests': [
    `${get}\r\n`,
    '\r\n',
    '\r\n\r\n',
    `${get}Connection: close\r\n\r\n`,
  ],
}

async function main() {
  for (const [name, parts] of Object.entries(REQUESTS)) {
    const server = Object.assign(
      http.createServer(options, (_req, res) => res.end('x')),
      limits,
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    console.log(name, JSON.stringify(await exchange(server, parts)))
    server.once('clientError', (error, socket) => {
      console.log(error.code, error instanceof Error, socket.writable)
      if (error.code === 'HPE_INVALID_METHOD') console.log(error.message, error.bytesParsed)
      socket.end('HTTP/1.1 418 Mine\r\n\r\nmine')
    })
    console.log('with a listener', JSON.stringify(await exchange(server, parts)))
    server.close()
  }

  const server = http.createServer((req, res) => req.resume().on('error', () => {}) && res)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = ['GET / HTTP/1.1\r\nContent-Length:']
  console.log('cut short', JSON.stringify(await exchange(server, cut, { endAfter: true })))
  server.once('clientError', (error, socket) => {
    console.log(error.code, error.message, 'rawPacket' in error)
    socket.destroy()
  })
  console.log(
    'cut short, with a listener',
    JSON.stringify(await exchange(server, cut, { endAfter: true })),
  )
  const log = (error) => console.log(error.code)
  server.on('clientError', log)
  const bad = REQUESTS['a length and a transfer coding']
  console.log(
    'a listener without a response',
    JSON.stringify(await exchange(server, bad, { endAfter: true })),
  )
  // No known method begins with this character, so each part is an error by itself.
  console.log('no method', JSON.stringify(await exchange(server, ['*', '*'], { endAfter: true })))
  server.off('clientError', log)
  server.once('clientError', (error, socket) => {
    log(error)
    socket.destroy()
  })
  console.log('destroyed', JSON.stringify(await exchange(server, REQUESTS['a bad field'])))
  const respondAndDestroy = (error, socket) => {
    log(error)
    socket.write('HTTP/1.1 418 Mine\r\n\r\n')
    socket.destroy(error)
  }
  server.on('clientError', respondAndDestroy)
  console.log('written and destroyed', JSON.stringify(await exchange(server, ['G@T'])))
  server.off('clientError', respondAndDestroy)
  server.once('clientError', (error, socket) => {
    log(error)
    socket.write('HTTP/1.1 400 Mine\r\n\r\n')
    socket.end('x'.repeat(100_000), () => socket.destroy())
  })
  const long = await exchange(server, REQUESTS['a bad field'])
  console.log('a long response', long.length, long.slice(0, 25))
  server.once('clientError', (error, socket) => {
    log(error)
    socket.end('HTTP/1.1 400 In the body\r\n\r\n')
  })
  const body = [
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    'zz\r\n',
  ]
  console.log('a bad chunk', JSON.stringify(await exchange(server, body)))
  const longLine = [body[0], `1;${'x'.repeat(20_000)}\r\na\r\n`]
  console.log('a long chunk line', JSON.stringify(await exchange(server, longLine)))
  server.once('clientError', (error, socket) => {
    log(error)
    socket.end('HTTP/1.1 413 Mine\r\n\r\n')
  })
  console.log('with a listener', JSON.stringify(await exchange(server, longLine)))
  server.once('request', ({ socket }) => {
    socket.on('error', (error) => console.log('error of its socket', error.code))
  })
  // A malformed chunk size is refused before its line is complete.
  console.log(
    'a bad chunk size, without a listener',
    JSON.stringify(await exchange(server, [body[0], 'W'])),
  )
  server.close()
}

main()
