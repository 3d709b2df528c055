// Certificates of clients, on both engines.
import test, { type ExecutionContext } from 'ava'

import { ENGINES } from '../process/program.ts'
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
  test(`a certificate is required, and counts if the authority has issued and not revoked it (${engine})`, async (t) => {
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

  test(`a certificate may be optional: none is no obstacle, and a wrong one is (${engine})`, async (t) => {
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
