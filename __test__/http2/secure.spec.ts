// HTTP/2 over TLS in a whole process: ALPN selects HTTP/2 or HTTP/1.1, and Express needs no change.
import { createRequire } from 'node:module'
import test from 'ava'

import { native, nativeFailure } from '../../ts/native/index.ts'
import { startProgram } from '../process/program.ts'
import { Certificates } from '../tls/certificates.ts'
import { meet } from '../tls/client.ts'
import { Http2Client } from './client.ts'

const EXPRESS = JSON.stringify(createRequire(import.meta.url).resolve('express'))
const APP = `const express = require(${EXPRESS})
const app = express()
app.use(express.json({ limit: '2mb' }))
const describe = (req) => {
  const { alpnProtocol: alpn, servername: name } = req.socket
  return { secure: req.secure, version: req.httpVersion, alpn, name }
}
app.get('/', (req, res) => {
  const body = JSON.stringify(describe(req))
  res.set('Content-Length', body.length).send(body)
})
app.post('/', (req, res) => res.json({ ...describe(req), size: req.body.text.length }))
module.exports = app`

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test('ALPN selects HTTP/2 for clients that support it, and HTTP/1.1 for others', async (t) => {
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
    const requests = clients.flatMap((client) =>
      Array.from({ length: 20 }, async (_, at) => {
        const body = JSON.stringify({ text: 'x'.repeat(at * 20_000) })
        const response = await client.fetch('/', { headers, body })
        t.deepEqual(JSON.parse(response.body.toString()), {
          ...{ secure: true, version: '1.1', alpn: 'h2', name: 'localhost', size: at * 20_000 },
        })
      }),
    )
    await Promise.all(requests)
    const { body } = await meet(Number(port), { ALPNProtocols: ['http/1.1'] })
    t.like(body, { secure: true, version: '1.1', alpn: 'http/1.1' })
  })
}
