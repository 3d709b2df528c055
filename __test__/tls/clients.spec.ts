// Client certificates, on both engines.
import test, { type ExecutionContext } from 'ava'

import { ENGINES, startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { meet, refusal, startSecure } from './client.ts'

function withClients(t: ExecutionContext): Certificates {
  return new Certificates(t)
    .selfSigned('one')
    .authority('ca')
    .issued('good', 'ca')
    .issued('lost', 'ca')
    .authority('other')
    .issued('stranger', 'other')
    .revoked('ca', 'lost')
}

const SHOWN = ['--certfile', 'one.pem', '--keyfile', 'one.key', '--ca-certs', 'ca.pem']

for (const engine of ENGINES) {
  test(`cert_reqs 2 admits only certificates of the CA that are valid (${engine})`, async (t) => {
    const certificates = withClients(t)
    const client = (name: string) => ({
      cert: certificates.text(`${name}.pem`),
      key: certificates.text(`${name}.key`),
    })
    const { port } = await startSecure(t, certificates, {
      args: [...SHOWN, '--cert-reqs', '2', '--crl-file', 'ca.crl'],
      engine,
    })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { body } = await meet(port, { ...client('good'), maxVersion })
      t.like(body, { authorized: true, error: null, client: 'good', issuer: 'ca', serial: true })
      for (const name of ['lost', 'stranger', 'one']) {
        t.not(await refusal(port, { ...client(name), maxVersion }), 'let in', name)
      }
      t.not(await refusal(port, { maxVersion }), 'let in')
    }
  })

  test(`every revocation list in crl_file counts (${engine})`, async (t) => {
    const certificates = withClients(t).issued('gone', 'other').revoked('other', 'gone')
    const lists = [certificates.text('other.crl'), certificates.text('ca.crl')]
    certificates.write('both.pem', certificates.text('ca.pem') + certificates.text('other.pem'))
    const client = (name: string) => ({
      cert: certificates.text(`${name}.pem`),
      key: certificates.text(`${name}.key`),
    })
    for (const texts of [lists, lists.reverse()]) {
      certificates.write('both.crl', texts.join(''))
      const { port } = await startSecure(t, certificates, {
        args: [...SHOWN.slice(0, -1), 'both.pem', '--cert-reqs', '2', '--crl-file', 'both.crl'],
        engine,
      })
      for (const name of ['good', 'stranger']) {
        t.like((await meet(port, client(name))).body, { authorized: true, client: name })
      }
      for (const name of ['lost', 'gone']) {
        t.not(await refusal(port, client(name)), 'let in', name)
      }
    }
  })

  test(`getPeerCertificate shows the client's chain up to the CA (${engine})`, async (t) => {
    const certificates = withClients(t)
    certificates.write(
      'all.pem',
      certificates.text('stranger.pem') + certificates.text('other.pem'),
    )
    const app = `const { readFileSync } = require('node:fs')
      const read = (name) => readFileSync(name)
      const asks = { ca: read('ca.pem'), requestCert: true, rejectUnauthorized: false }
      const shown = { cert: read('one.pem'), key: read('one.key') }
      require('node:https').createServer({ ...shown, ...asks }, (req, res) => {
        const names = []
        const certificate = req.socket.getPeerCertificate(true)
        for (let one = certificate, last; one !== last; one = one?.issuerCertificate) {
          names.push(one?.subject.CN)
          last = one
        }
        const issuer = req.socket.getPeerX509Certificate().issuerCertificate?.subject
        const body = JSON.stringify({ names, issuer, error: req.socket.authorizationError })
        res.setHeader('Connection', 'close').end(body)
      }).listen(8443)`
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': app },
      args: ['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0'],
    })
    const [, port] = await program.line(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/)
    const seen = async (cert: string, key: string) => {
      const client = { cert: certificates.text(cert), key: certificates.text(key) }
      return (await meet(Number(port), client)).body
    }
    t.deepEqual(await seen('good.pem', 'good.key'), { names: ['good', 'ca'], error: null })
    t.deepEqual(await seen('all.pem', 'stranger.key'), {
      names: ['stranger', 'other'],
      issuer: 'CN=other',
      error: 'SELF_SIGNED_CERT_IN_CHAIN',
    })
    t.deepEqual(await seen('one.pem', 'one.key'), {
      names: ['one'],
      error: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    })
  })

  test(`cert_reqs 1 refuses only clients with an invalid certificate (${engine})`, async (t) => {
    const certificates = withClients(t)
    const client = (name: string) => ({
      cert: certificates.text(`${name}.pem`),
      key: certificates.text(`${name}.key`),
    })
    const { port } = await startSecure(t, certificates, {
      args: [...SHOWN, '--cert-reqs', '1'],
      engine,
    })
    t.like((await meet(port, client('good'))).body, { authorized: true, client: 'good' })
    t.like((await meet(port)).body, { authorized: false, error: 'UNABLE_TO_GET_ISSUER_CERT' })
    t.not(await refusal(port, client('stranger')), 'let in')
  })
}
