// Sets options of a connection's socket, which must reach the socket of the kernel.
const http = require('node:http')
const net = require('node:net')
const { readFileSync } = require('node:fs')
const { once } = require('node:events')
const { setTimeout: sleep } = require('node:timers/promises')

const server = http.createServer()
const hex = (port) => port.toString(16).toUpperCase().padStart(4, '0')

/** Reads the kernel's timer for the server's end of a connection; 02 is keep-alive, `proc(5)`. */
function readTimer(client) {
  const [server, peer] = [hex(client.remotePort), hex(client.localPort)]
  const lines = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  const found = lines.find(
    (line) => line[1]?.endsWith(`:${server}`) && line[2]?.endsWith(`:${peer}`),
  )
  const [timer, ticks] = (found?.[5] ?? '').split(':')
  return `${timer} ${Math.round(Number.parseInt(ticks, 16) / 1_000)}`
}

/** Waits until the kernel has a timer of a kind, and returns it as text. */
async function untilTimer(client, kind) {
  for (let tries = 0; tries < 500 && !readTimer(client).startsWith(kind); tries++) await sleep(10)
  return readTimer(client)
}

async function connect(text) {
  const client = net.connect(server.address().port, '127.0.0.1')
  client.outcome = new Promise((resolve) => {
    client.on('error', (error) => resolve(error.code))
    client.on('close', () => resolve('closed'))
  })
  client.write(text)
  client.resume()
  await once(client, 'connect')
  return client
}

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const upgrade = `GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n`

async function main() {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  server.once('request', (req) => req.socket.resetAndDestroy())
  console.log('a request', await (await connect(get('/reset'))).outcome)
  server.once('upgrade', (_req, socket) => socket.resetAndDestroy())
  console.log('an upgraded socket', await (await connect(upgrade)).outcome)
  server.once('upgrade', (_req, socket) => socket.resetAndDestroy())
  console.log('without a Host', await (await connect(upgrade.replace('Host: x\r\n', ''))).outcome)
  server.once('upgrade', (_req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    setTimeout(() => socket.resetAndDestroy(), 20)
  })
  console.log('an upgraded socket after its response', await (await connect(upgrade)).outcome)
  server.once('upgrade', (_req, socket) => socket.destroy())
  console.log('without a reset', await (await connect(upgrade)).outcome)

  for (const [name, text] of [
    ['request', get('/keep')],
    ['upgrade', upgrade],
  ]) {
    const seen = once(server, name)
    const client = await connect(text)
    const [{ socket }] = await seen
    console.log(name, readTimer(client))
    socket.setKeepAlive(true, 600_500).setNoDelay(false).setNoDelay().setKeepAlive(true, 600_500)
    console.log(name, await untilTimer(client, '02'))
    socket.setKeepAlive(false)
    console.log(name, await untilTimer(client, '00'))
    client.destroy()
    socket.destroy()
    socket.setNoDelay(false).setKeepAlive(true)
  }
  server.close()
}
main()
