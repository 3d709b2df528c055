// Certificates that are replaced while the server runs, and sessions that outlive workers: on both
// engines.
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { ENGINES, until } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { meet, refusal, startSecure } from './client.ts'

const SHOWN = ['--certfile', 'one.pem', '--keyfile', 'one.key']

for (const engine of ENGINES) {
  test(`a new certificate file is used at once unless it is invalid (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one').selfSigned('two')
    const { program, port } = await startSecure(t, certificates, { args: SHOWN, engine })
    const { body, shown } = await meet(port)
    t.is(shown, 'one')
    const replace = (from: string, to: string) =>
      copyFileSync(certificates.path(from), join(program.directory, to))
    replace('two.pem', 'one.pem')
    await program.line(
      /\[ERROR\] TLS: .*one\.pem changed and cannot be used, the old files stay in use: the priv/,
    )
    t.is((await meet(port)).shown, 'one')
    replace('two.key', 'one.key')
    await program.line(/\[INFO\] TLS: .*one\.key changed; new connections/)
    const after = await until(async () => {
      const met = await meet(port)
      return met.shown === 'two' ? met : null
    }, 'the new certificate is shown')
    t.is(after.body.pid, body.pid)

    program.write('one.pem', 'no certificate')
    program.signal('SIGHUP')
    await program.line(/certfile ".*one\.pem" cannot be used: it has no certificate in PEM/)
    await program.line(/Reload failed; the old workers keep serving/)
    t.is((await meet(port)).shown, 'two')

    replace('one.pem', 'one.pem')
    replace('one.key', 'one.key')
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    t.is((await meet(port)).shown, 'one')
  })

  test(`all workers resume sessions, also those after a reload (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const { program, port } = await startSecure(t, certificates, {
      args: [...SHOWN, '-w', '3'],
      engine,
    })
    for (let ready = 1; ready < 3; ready++) await program.line(/Worker ready/)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session, reused } = await meet(port, { maxVersion })
      t.false(reused)
      const seen = await Promise.all(
        Array.from({ length: 20 }, () => meet(port, { session, maxVersion })),
      )
      t.true(seen.every((met) => met.reused && met.body.reused === true))
    }
    const { session, body } = await meet(port)
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    const after = await meet(port, { session })
    t.true(after.reused)
    t.not(after.body.pid, body.pid)
  })

  test(`a broken revocation list keeps the previous one in use (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('one')
      .authority('ca')
      .issued('good', 'ca')
      .revoked('ca')
    const client = { cert: certificates.text('good.pem'), key: certificates.text('good.key') }
    const args = [...SHOWN, '--ca-certs', 'ca.pem', '--cert-reqs', '2', '--crl-file', 'ca.crl']
    const { program, port } = await startSecure(t, certificates, { args, engine })
    const mark = 'X509 CRL-----\n'
    program.write('ca.crl', `-----BEGIN ${mark}bm8gbGlzdA==\n-----END ${mark}`)
    await program.line(
      /\[ERROR\] TLS: .*ca\.crl changed and cannot be used.*: crl_file ".*" cannot be used/,
    )
    program.signal('SIGHUP')
    await program.line(/crl_file ".*\/ca\.crl" cannot be used/)
    await program.line(/Reload failed; the old workers keep serving/)
    const { body } = await meet(port, client)
    // A worker that starts later gets the material in use.
    process.kill(Number(body.pid), 'SIGKILL')
    await program.line(/Worker ready/)
    t.like((await meet(port, client)).body, { authorized: true })
  })

  test(`revoking a client's certificate ends its session (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('one')
      .authority('ca')
      .issued('good', 'ca')
      .revoked('ca')
    const client = { cert: certificates.text('good.pem'), key: certificates.text('good.key') }
    const { program, port } = await startSecure(t, certificates, {
      args: [...SHOWN, '--ca-certs', 'ca.pem', '--cert-reqs', '2', '--crl-file', 'ca.crl'],
      engine,
    })
    const { session } = await meet(port, client)
    const again = await meet(port, { ...client, session })
    t.like(again.body, { authorized: true, client: 'good', reused: true })
    certificates.revoked('ca', 'good')
    copyFileSync(certificates.path('ca.crl'), join(program.directory, 'ca.crl'))
    await program.line(/TLS: .*ca\.crl changed; new connections/)
    const last = await until(async () => {
      const outcome = await refusal(port, { ...client, session })
      return outcome === 'let in' ? null : outcome
    }, 'the client is refused')
    t.not(last, 'let in')
    // The old session does not stop a client with a new certificate.
    certificates.issued('good', 'ca')
    const renewed = { cert: certificates.text('good.pem'), key: certificates.text('good.key') }
    t.like((await meet(port, { ...renewed, session })).body, { client: 'good', reused: false })
  })
}

test('an expired certificate is logged at the start', async (t) => {
  const certificates = new Certificates(t).selfSigned('one')
  certificates.openssl('req', '-new', '-key', 'one.key', '-subj', '/CN=old', '-out', 'old.csr')
  certificates.openssl(
    ...['x509', '-req', '-in', 'old.csr', '-signkey', 'one.key', '-days', '0', '-out', 'old.pem'],
  )
  const engine = native === null ? 'node' : 'native'
  const args = ['--certificate', 'old.pem:one.key']
  const { program } = await startSecure(t, certificates, { args, engine })
  const line =
    /\[ERROR\] TLS: the certificate of old has expired, at [\d-]+T[\d:]+Z: clients refuse it/
  t.truthy(await until(() => line.exec(program.log), 'the line'))
})
