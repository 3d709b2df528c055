// `https.createServer(options, app).listen()`: the program's own certificate, on the arbiter's
// sockets.
import { createRequire } from 'node:module'
import test, { type ExecutionContext } from 'ava'

import { ENGINES, type Program, startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { meet } from './client.ts'

const READ = `const { readFileSync } = require('node:fs')
const https = require('node:https')
const shown = (name) => ({ cert: readFileSync(name + '.pem'), key: readFileSync(name + '.key') })`

const EXPRESS = `${READ}
const app = require(${JSON.stringify(createRequire(import.meta.url).resolve('express'))})()
let sockets = 0
app.get('/', (req, res) => {
  const { encrypted, authorized } = req.socket
  const { subject } = req.socket.getPeerCertificate()
  const client = subject?.CN ?? null
  const isServer = req.socket.server === server
  const { secure } = req
  const body = JSON.stringify({ secure, encrypted, authorized, client, sockets, isServer })
  res.set('Content-Length', body.length).send(body)
})`

function start(
  t: ExecutionContext,
  certificates: Certificates,
  { app, engine, args = [] }: { app: string; engine: string; args?: readonly string[] },
): Program {
  return startProgram(t, {
    files: { ...certificates.files(), 'app.cjs': app },
    args: ['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0', ...args],
  })
}

async function portOf(program: Program): Promise<number> {
  const [, port] = await program.line(/Listening at: https?:\/\/127\.0\.0\.1:(\d+)/)
  return Number(port)
}

for (const engine of ENGINES) {
  test(`every worker shows the certificate of a program's https server (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const app = `${EXPRESS}
      const server = https.createServer(shown('one'), app)
      server.on('secureConnection', () => { sockets += 1 })
      server.listen(8443)`
    const program = start(t, certificates, { app, engine, args: ['-w', '2'] })
    const port = await portOf(program)
    await program.line(/TLS: the program's own certificate is shown at https:/)
    for (let time = 0; time < 4; time += 1) {
      const { shown, body } = await meet(port)
      t.is(shown, 'one')
      t.like(body, { secure: true, encrypted: true, client: null, isServer: true })
      t.true(Number(body.sockets) > 0)
    }
  })

  test(`requestCert of a program's https server is honoured (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').authority('ca').issued('good', 'ca')
    const app = `${EXPRESS}
      const asks = { ca: readFileSync('ca.pem'), requestCert: true, rejectUnauthorized: false }
      const options = { ...shown('one'), ...asks, maxVersion: 'TLSv1.2' }
      const server = https.createServer(options, app).listen(8443)`
    const port = await portOf(start(t, certificates, { app, engine }))
    const client = { cert: certificates.text('good.pem'), key: certificates.text('good.key') }
    const known = await meet(port, client)
    t.is(known.protocol, 'TLSv1.2')
    t.like(known.body, { authorized: true, client: 'good' })
    t.like((await meet(port)).body, { authorized: false, client: null })
  })

  test(`every worker resumes sessions of a program's https server (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const app = `${EXPRESS}\nconst server = https.createServer(shown('one'), app).listen(8443)`
    const program = start(t, certificates, { app, engine, args: ['-w', '3'] })
    const port = await portOf(program)
    for (let ready = 0; ready < 3; ready += 1) await program.line(/certificate is shown at https:/)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await meet(port, { maxVersion })
      const all = Array.from({ length: 12 }, () => meet(port, { session, maxVersion }))
      t.true((await Promise.all(all)).every(({ reused }) => reused))
    }
  })

  test(`a cipher list of TLS 1.2 alone keeps TLS 1.3 enabled (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const app = `${EXPRESS}
      const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384:!aNULL'
      const server = https.createServer({ ...shown('one'), ciphers }, app).listen(8443)`
    const port = await portOf(start(t, certificates, { app, engine }))
    t.is((await meet(port)).protocol, 'TLSv1.3')
    const { cipher } = await meet(port, { maxVersion: 'TLSv1.2' })
    t.is(cipher, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384')
  })

  test(`a TLS version that secureOptions disables is not offered (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const app = `${EXPRESS}
      const secureOptions = require('node:constants').SSL_OP_NO_TLSv1_3
      const server = https.createServer({ ...shown('one'), secureOptions }, app).listen(8443)`
    const port = await portOf(start(t, certificates, { app, engine }))
    t.is((await meet(port)).protocol, 'TLSv1.2')
  })

  test(`addContext() of a program's https server throws ERR_TLS_OPTIONS (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').selfSigned('two')
    const app = `${READ}
      const server = https.createServer(shown('one'), (req, res) => {
        let code
        try {
          server.addContext('two.test', shown('two'))
        } catch (error) {
          code = error.code
        }
        res.setHeader('Connection', 'close').end(JSON.stringify({ code }))
      }).listen(8443)`
    const port = await portOf(start(t, certificates, { app, engine }))
    t.like((await meet(port)).body, { code: 'ERR_TLS_OPTIONS' })
  })

  test(`setSecureContext() replaces the certificate at run time (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').selfSigned('two')
    const app = `${READ}
      const server = https.createServer(shown('one'), (req, res) => {
        server.setSecureContext(shown('two'))
        res.setHeader('Content-Length', 2).end('{}')
      }).listen(8443)`
    const port = await portOf(start(t, certificates, { app, engine }))
    t.is((await meet(port)).shown, 'one')
    t.is((await meet(port)).shown, 'two')
  })

  test(`certfile overrides the certificate of an https server (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').selfSigned('two')
    const app = `${EXPRESS}\nconst server = https.createServer(shown('one'), app).listen(8443)`
    const args = ['--certfile', 'two.pem', '--keyfile', 'two.key']
    const program = start(t, certificates, { app, engine, args })
    t.is((await meet(await portOf(program))).shown, 'two')
    await program.line(/the certificate of the settings overrides/)
  })
}

const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
  'an SNICallback': ['{ ...shown("one"), SNICallback() {} }', /SNICallback cannot be honoured/],
  'only unsupported versions': [
    '{ ...shown("one"), minVersion: "TLSv1", maxVersion: "TLSv1.1" }',
    /the program's https server: .*maxVersion.* leave no version of TLS/,
  ],
  'only unsupported ciphers': [
    '{ ...shown("one"), ciphers: "ECDHE-RSA-AES128-SHA" }',
    /the program's https server: ciphers ECDHE-RSA-AES128-SHA names no suite/,
  ],
  'no certificate': ['{}', /the program's https server.*cert and key are needed/],
}

for (const [what, [options, words]] of Object.entries(REFUSED)) {
  test(`an https server with ${what} is refused with the reason`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const app = `${READ}\nhttps.createServer(${options}, (req, res) => res.end()).listen(8443)`
    const program = start(t, certificates, { app, engine: 'auto' })
    await program.line(words)
    t.pass()
  })
}
