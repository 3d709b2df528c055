// HTTP/2 behind TLS, as the command serves it: by the client's choice, beside HTTP/1.1, for Express as it is.
import { createRequire } from 'node:module'
import test from 'ava'

import { native, nativeFailure } from '../../ts/native/index.ts'
import { startProgram } from '../process/program.ts'
import { Certificates } from '../tls/certificates.ts'
import { meet } from '../tls/client.ts'
import { Http2Client } from './client.ts'

const APP = `const express = require(${JSON.stringify(createRequire(import.meta.url).resolve('express'))})
const app = express()
app.use(express.json({ limit: '2mb' }))
const seen = (req) => ({ secure: req.secure, version: req.httpVersion, alpn: req.socket.alpnProtocol, name: req.socket.servername })
app.get('/', (req, res) => {
  const body = JSON.stringify(seen(req))
  res.set('Content-Length', body.length).send(body)
})
app.post('/', (req, res) => res.json({ ...seen(req), size: req.body.text.length }))
module.exports = app`

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test('browsers and others that can have HTTP/2, and who cannot has HTTP/1.1', async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': APP },
      args: [
        ...['./app.cjs', '-b', '127.0.0.1:0', '-w', '2', '--access-logfile', 'access.log'],
        ...['--certfile', 'one.pem', '--keyfile', 'one.key'],
      ],
    })
    const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
    const clients = Array.from({ length: 3 }, () => {
      const ca = certificates.text('one.pem')
      const client = new Http2Client(`https://127.0.0.1:${port}`, { ca, servername: 'localhost' })
      t.teardown(() => client.close())
      return client
    })
    const headers = { 'content-type': 'application/json' }
    const asked = clients.flatMap((client) =>
      Array.from({ length: 20 }, async (_, at) => {
        const body = JSON.stringify({ text: 'x'.repeat(at * 20_000) })
        const answer = await client.ask('/', { headers, body })
        t.deepEqual(JSON.parse(answer.body.toString()), {
          ...{ secure: true, version: '1.1', alpn: 'h2', name: 'localhost', size: at * 20_000 },
        })
      }),
    )
    await Promise.all(asked)
    const { body } = await meet(Number(port), { ALPNProtocols: ['http/1.1'] })
    t.like(body, { secure: true, version: '1.1', alpn: 'http/1.1' })
  })
}
