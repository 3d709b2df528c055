// Connections that close without close_notify, which anyone who can cut the connection can cause
// too.
import net from 'node:net'
import tls from 'node:tls'
import test from 'ava'

import { ENGINES, startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'

const APP = `
  const server = require('http').createServer((req, res) => res.end('ok'))
  server.on('upgrade', (req, socket) => {
    socket.on('end', () => console.error('seen: end'))
    socket.on('error', ({ code }) => console.error('seen:', code))
    socket.resume()
    const fields = 'Upgrade: echo\\r\\nConnection: Upgrade\\r\\n'
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\n' + fields + '\\r\\n')
  })
  server.listen(3000)`

const UPGRADE = 'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n'

for (const engine of ENGINES) {
  for (const [isOn, seen] of [
    [true, 'end'],
    // Node's TLS does not distinguish the two.
    [false, engine === 'native' ? 'ECONNRESET' : 'end'],
  ] as const) {
    test(`no close_notify, suppress_ragged_eofs ${isOn}: ${seen} (${engine})`, async (t) => {
      const certificates = new Certificates(t).selfSigned('one')
      const program = startProgram(t, {
        files: {
          ...certificates.files(),
          'app.cjs': APP,
          'monoceros.config.mjs': `export default { suppress_ragged_eofs: ${isOn} }`,
        },
        args: [
          ...['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0', '-w', '1'],
          ...['--certfile', 'one.pem', '--keyfile', 'one.key'],
        ],
      })
      const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
      await endRagged(Number(port))
      const [, what] = await program.line(/seen: (.*)/)
      t.is(what, seen)
      const isUnsupported = engine === 'node' && !isOn
      t.is(/node:http does not support suppress_ragged_eofs: see/.test(program.log), isUnsupported)
    })
  }
}

/** Upgrades a connection, then closes the socket below TLS. */
function endRagged(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const raw = net.connect(port, '127.0.0.1')
    const secure = tls.connect({ socket: raw, rejectUnauthorized: false })
    secure.setTimeout(20_000, () => secure.destroy(new Error('no answer')))
    secure.on('error', reject)
    secure.write(UPGRADE)
    secure.once('data', () => {
      raw.end()
      resolve()
    })
  })
}
