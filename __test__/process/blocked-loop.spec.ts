// While JavaScript blocks the event loop, the I/O thread serves what needs no JavaScript. Later,
// JavaScript has its loop back.
import net from 'node:net'
import tls from 'node:tls'

import { needsAddon } from '../requirements.ts'
import { Certificates } from '../tls/certificates.ts'
import { meet } from '../tls/client.ts'
import { startProgram } from './program.ts'

const BLOCK_MS = 4_000

const APPLICATION = `
let start
new Promise((resolve) => { start = resolve }).then(block)
const ways = {
  '/handler': block,
  '/timer': () => setTimeout(block, 20),
  '/start-up': () => start(),
}
module.exports = (req, res) => {
  ways[req.url]?.()
  res.end('{}')
}
function block() {
  console.error('blocked now')
  const end = Date.now() + ${BLOCK_MS}
  while (Date.now() < end);
  console.error('free again')
}
`

// The engine over node:http has no thread of its own.
const withAddon = needsAddon()

for (const loop of ['movable', 'io-thread']) {
  for (const way of ['handler', 'timer', 'start-up']) {
    withAddon(`a blocked ${way} delays no handshake, refusal or deadline (${loop})`, async (t) => {
      const certificates = new Certificates(t).selfSigned('one')
      const program = startProgram(t, {
        files: { ...certificates.files(), 'app.cjs': APPLICATION },
        env: { MONOCEROS_LOOP: loop },
        args: [
          ...['./app.cjs', '--engine', 'native', '-b', '127.0.0.1:0', '-w', '1'],
          ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--header-timeout', '1'],
          ...['--log-level', 'debug'],
        ],
      })
      const [, text] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
      const port = Number(text)
      await meet(port)
      const begun = converse(port, `GET /${way} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      await program.line(/blocked now/)
      const [refused, late] = await Promise.all([
        converse(port, 'GET / HTTP/1.1\r\nno colon\r\n\r\n'),
        converse(port, 'GET / HTTP/1.1\r\nHost:'),
        idle(port),
      ])
      t.notRegex(program.log, /free again/)
      t.regex(refused, /^HTTP\/1\.1 400 /)
      t.regex(late, /^HTTP\/1\.1 408 /)
      await program.line(/free again/)
      t.regex(await begun, /^HTTP\/1\.1 200 /)
      t.deepEqual((await meet(port)).body, {})
      program.signal('SIGTERM')
      const [, takeovers] = await program.line(/took the loop over (\d+) times/)
      t.is(Number(takeovers) > 0, loop === 'movable')
    })
  }
}

/** Sends bytes over TLS, and resolves to what the server has answered at the end. */
function converse(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer')))
    socket.on('error', reject)
    socket.setEncoding('utf8').on('data', (piece) => {
      answer += piece
    })
    socket.on('end', () => {
      socket.destroy()
      resolve(answer)
    })
    socket.write(bytes)
  })
}

/** Connects, closes at once, and resolves when the server has closed too. */
function idle(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.setTimeout(20_000, () => socket.destroy(new Error('not closed')))
    socket.on('error', reject).on('end', resolve).resume()
    socket.on('connect', () => socket.end())
  })
}
