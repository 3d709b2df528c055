// What the native engine buffers for clients, by the settings of the command.

import { once } from 'node:events'
import net from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { native } from '../../ts/native/index.ts'
import { serveArgs, startProgram } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { Certificates } from '../tls/certificates.ts'
import { meet, startSecure } from '../tls/client.ts'
import { Connection } from './connection.ts'

const APP = `const received = []
module.exports = (req, res) => {
  if (req.url === '/received') return res.end(received.join())
  received.push(req.url)
  console.error('Received ' + req.url)
  let length = 0
  req.on('data', (piece) => { length += piece.length }).on('end', () => res.end(String(length)))
}`

const RECEIVED = 'GET /received HTTP/1.1\r\nHost: x\r\n\r\n'
const POST = (length: number) =>
  `POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`

/** A body is only passed on when it is complete, or fills its buffer. */
const PATIENT = ['--request-buffer-time', '60']

const onNative = needs('the addon', native !== null, test)

function start(t: ExecutionContext, ...args: string[]) {
  const files = { 'app.cjs': APP }
  return startProgram(t, { files, args: serveArgs('native', ...PATIENT, ...args) }).ready(1)
}

onNative('a request is passed on when request_buffer_size of its body have arrived', async (t) => {
  const program = await start(t, '--request-buffer-size', '1000')
  const client = new Connection(program.port).send(`${POST(2_000)}${'x'.repeat(999)}`)
  const other = new Connection(program.port)
  t.is((await other.send(RECEIVED).answer()).body, '')
  client.send('x')
  await program.line(/Received \/post/)
  t.is((await other.send(RECEIVED).answer()).body, '/post')
  t.is((await client.send('x'.repeat(1_000)).answer()).body, '2000')
})

onNative('bodies that exceed buffer_memory get a 503, and the others are served', async (t) => {
  const { port } = await start(t, '--buffer-memory', '400k')
  const clients = Array.from({ length: 30 }, () => {
    return new Connection(port).send(`${POST(50_000)}${'x'.repeat(15_000)}`)
  })
  const answers = clients.map((client) => client.answer())
  t.is((await Promise.any(answers)).status, 503)
  t.is((await new Connection(port).send(RECEIVED).answer()).body, '')
  for (const client of clients) client.send('x'.repeat(35_000))
  const statuses = (await Promise.allSettled(answers)).map((settled) => {
    return settled.status === 'fulfilled' ? settled.value.status : 'cut'
  })
  t.true(statuses.includes(200), statuses.join())
})

onNative('a handshake beyond four times limit_handshakes evicts the oldest', async (t) => {
  const certificates = new Certificates(t).selfSigned('one')
  const args = ['--certfile', 'one.pem', '--keyfile', 'one.key', '--handshake-timeout', '600']
  const { port } = await startSecure(t, certificates, {
    args: [...args, '--limit-handshakes', '2', '-w', '1'],
    engine: 'native',
  })
  const stalled: net.Socket[] = []
  t.teardown(() => {
    for (const socket of stalled) socket.destroy()
  })
  for (let count = 0; count <= 8; count += 1) {
    const socket = net.connect(port, '127.0.0.1').resume()
    stalled.push(socket)
    await once(socket, 'connect')
  }
  const [oldest, ...others] = stalled
  if (oldest !== undefined && !oldest.closed) await once(oldest, 'close')
  t.deepEqual(
    others.map(({ closed }) => closed),
    others.map(() => false),
  )
  t.is((await meet(port)).shown, 'one')
})
