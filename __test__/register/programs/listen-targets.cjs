// Listens at a path, a descriptor, a handle and the handle of another server, and until an abort.
const http = require('node:http')
const net = require('node:net')
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { mkdtempSync } = require('node:fs')
const { tmpdir } = require('node:os')

const respond = (_req, res) => res.end(String(_req.socket.remoteAddress))
const get = (target) =>
  new Promise((resolve, reject) => {
    const client = http.get({ ...target, agent: false }, (res) => {
      let body = ''
      res.setEncoding('latin1')
      res.on('data', (data) => (body += data)).on('end', () => resolve(body))
    })
    client.on('error', reject)
  })
const listen = (...args) =>
  new Promise((resolve, reject) => {
    const server = http.createServer(respond).listen(...args)
    server.on('listening', () => resolve(server)).on('error', reject)
  })
const close = (server) => new Promise((resolve) => server.close(resolve))

async function main() {
  const path = join(mkdtempSync(join(tmpdir(), 'monoceros-')), 'socket')
  const unix = await listen({ path, readableAll: true, writableAll: true })
  console.log(unix.address() === path, await get({ socketPath: path }), existsSync(path))
  await close(unix)
  console.log(existsSync(path))

  const handle = net._createServerHandle('127.0.0.1', 0, 4)
  const bound = {}
  handle.getsockname(bound)
  const byFd = await listen({ fd: handle.fd })
  console.log(
    'fd',
    byFd.address().port === bound.port,
    await get({ port: bound.port, host: '127.0.0.1' }),
  )
  await close(byFd)

  const other = net._createServerHandle('127.0.0.1', 0, 4)
  const byHandle = await listen(other)
  const { port } = byHandle.address()
  console.log('handle', await get({ port, host: '127.0.0.1' }))
  await close(byHandle)

  const six = await listen({ port: 0, host: '::', ipv6Only: true })
  console.log(six.address().family, await get({ port: six.address().port, host: '::1' }))
  console.log(
    await get({ port: six.address().port, host: '127.0.0.1' }).catch((error) => error.code),
  )
  await close(six)

  const any = await listen(0)
  console.log(any.address().address, await get({ port: any.address().port, host: '127.0.0.1' }))
  await close(any)

  const controller = new AbortController()
  const aborted = await listen({ port: 0, host: 'localhost', signal: controller.signal })
  aborted.on('close', () => console.log('aborted', aborted.listening))
  controller.abort()
}
main()
