import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import test from 'ava'

import { ENGINES, get, startProgram } from '../process/program.ts'
import { needsAddon } from '../requirements.ts'
import { Certificates } from './certificates.ts'
import { meet, startSecure } from './client.ts'

const APP = `module.exports = (req, res) => {
  let size = 0
  req.on('data', (piece) => { size += piece.length })
  req.on('end', () => res.end(JSON.stringify({ encrypted: req.socket.encrypted === true, size })))
}`

const SHOWN = ['--certfile', 'one.pem', '--keyfile', 'one.key']

for (const engine of ENGINES) {
  test(`certfile enables TLS on every address except http:// ones (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': APP },
      args: [
        ...['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0', '-b', 'http://127.0.0.1:0'],
        ...SHOWN,
      ],
    })
    const [, secure, plain] = await program.line(
      /Listening at: https:\/\/127\.0\.0\.1:(\d+),http:\/\/127\.0\.0\.1:(\d+)/,
    )
    const ca = certificates.text('one.pem')
    const answer = await ask(Number(secure), { ca, body: Buffer.alloc(300_000) })
    t.deepEqual(JSON.parse(answer), { encrypted: true, size: 300_000 })
    const { body } = await get({ port: Number(plain) })
    t.deepEqual(JSON.parse(body), { encrypted: false, size: 0 })
  })

  test(`a stalled handshake is aborted after handshake_timeout (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const args = [...SHOWN, '--handshake-timeout', '3', '--worker-connections', '2']
    const { port } = await startSecure(t, certificates, { args, engine })
    const silent = [0, 1, 2].map(() => {
      const socket = net.connect(port, '127.0.0.1').resume()
      return socket.setTimeout(20_000, () => socket.destroy(new Error('not disconnected')))
    })
    await Promise.all(silent.map((socket) => once(socket, 'close')))
    t.is((await meet(port)).shown, 'one')
  })

  test(`a handshake that is pending during a reload completes (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const { program, port } = await startSecure(t, certificates, { args: SHOWN, engine })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      // Delays the server's part of the handshake until the reload is complete.
      let release = (): void => {}
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      const between = net.createServer((client) => {
        const server = net.connect(port, '127.0.0.1')
        client.on('error', () => {}).pipe(server.on('error', () => {}))
        server.once('readable', async () => {
          program.signal('SIGHUP')
          await program.line(/Worker ready/)
          release()
        })
        held.then(() => server.pipe(client))
      })
      between.listen(0, '127.0.0.1')
      await once(between, 'listening')
      t.teardown(() => between.close())
      const { port: way } = between.address() as net.AddressInfo
      t.is((await meet(way, { maxVersion })).protocol, maxVersion)
      await program.line(/Reload complete/)
    }
  })

  test(`a record that cannot be decrypted gets bad_record_mac (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const { port } = await startSecure(t, certificates, { args: SHOWN, engine })
    const socket = net.connect(port, '127.0.0.1')
    const secure = tls.connect({ socket, rejectUnauthorized: false })
    await once(secure, 'secureConnect')
    // The callback of an empty write follows the client's last handshake message.
    await new Promise((resolve) => secure.write('', resolve))
    // A record of application data with 32 bytes that are not encrypted.
    socket.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32)]))
    const [error] = await once(secure.resume(), 'error')
    t.regex(error.code, /ALERT_BAD_RECORD_MAC/)
  })
}

const onNative = needsAddon(test)

onNative('curl works with TLS 1.2 and 1.3, and http:// on a TLS port gets a 400', async (t) => {
  const certificates = new Certificates(t).selfSigned('one')
  const program = startProgram(t, {
    files: { ...certificates.files(), 'app.cjs': APP },
    args: ['./app.cjs', '-b', '127.0.0.1:0', ...SHOWN],
  })
  const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
  const curl = (...args: string[]) => execFileSync('curl', ['-s', ...args]).toString()
  const trust = ['--cacert', certificates.path('one.pem')]
  for (const version of [['--tls-max', '1.2'], ['--tlsv1.3']]) {
    const answer = curl(...version, ...trust, `https://127.0.0.1:${port}/`)
    t.deepEqual(JSON.parse(answer), { encrypted: true, size: 0 })
  }
  const refused = curl('-i', `http://127.0.0.1:${port}/`)
  t.regex(refused, /^HTTP\/1\.1 400 [\s\S]*Use https:\/\//)
})

onNative('a response that ends with the connection ends with close_notify', async (t) => {
  const certificates = new Certificates(t).selfSigned('one')
  const program = startProgram(t, {
    files: {
      ...certificates.files(),
      // A chunked body has no length in HTTP/1.0, so curl fails without close_notify.
      'app.cjs': `module.exports = (req, res) => {
        res.write('one ')
        setImmediate(() => res.end('two'))
      }`,
    },
    args: ['./app.cjs', '-b', '127.0.0.1:0', '--linger-timeout', '600', ...SHOWN],
  })
  const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
  const trust = ['--cacert', certificates.path('one.pem')]
  const args = ['-sS', '--http1.0', ...trust, `https://127.0.0.1:${port}/`]
  t.is(execFileSync('curl', args).toString(), 'one two')

  // The connection does not linger until the client closes.
  const tcp = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
  const socket = tls.connect({ socket: tcp, rejectUnauthorized: false })
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  await once(socket.resume(), 'end')
  const writing = setInterval(() => socket.write('more'), 10)
  t.teardown(() => clearInterval(writing))
  const [error] = await once(socket, 'error')
  t.regex(error.code, /^(ECONNRESET|EPIPE)$/)
})

const REFUSED: readonly [string, readonly string[], RegExp][] = [
  ['keyfile without certfile', ['--keyfile', 'one.key'], /keyfile needs a certificate/],
  [
    'a missing certificate file',
    ['--certfile', 'none.pem'],
    /certfile ".*none\.pem" cannot be used: there is no such file/,
  ],
  [
    'certfile without a key',
    ['--certfile', 'one.pem'],
    /certfile ".*one\.pem" cannot be used: it has no private key in PEM/,
  ],
  [
    'the key of another certificate',
    ['--certfile', 'one.pem', '--keyfile', 'two.key'],
    /the private key in two\.key does not match the certificate in one\.pem/,
  ],
  [
    'https without a certificate',
    ['-b', 'https://127.0.0.1:0'],
    /the address https:\/\/127\.0\.0\.1:0 needs a certificate/,
  ],
]

for (const [what, args, text] of REFUSED) {
  test(`${what} is refused at the start`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').selfSigned('two')
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': APP },
      args: ['./app.cjs', '-b', '127.0.0.1:0', ...args],
    })
    await program.line(text)
    t.is(await program.exited, 1)
  })
}

function ask(port: number, { ca, body }: { ca: string; body: Buffer }): Promise<string> {
  return new Promise((done, fail) => {
    const options = { host: '127.0.0.1', port, ca, method: 'POST', agent: false }
    const request = https.request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => done(text))
    })
    request.on('error', fail).end(body)
  })
}
