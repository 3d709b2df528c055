// What an authority says of a certificate (OCSP) goes to whoever asks for it with the handshake.
import { readFileSync } from 'node:fs'
import test from 'ava'

import { ENGINES, startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { stapleFor } from './client.ts'

const APP = `module.exports = (req, res) => res.end('ok')`

for (const engine of ENGINES) {
  test(`clients that ask are told what the authority says of the certificate (${engine})`, async (t) => {
    const certificates = new Certificates(t).authority('ca').issued('one', 'ca')
    certificates.openssl(
      ...['ocsp', '-index', 'ca.index', '-CA', 'ca.pem', '-issuer', 'ca.pem', '-cert', 'one.pem'],
      ...['-rsigner', 'ca.pem', '-rkey', 'ca.key', '-ndays', '7', '-respout', 'one.ocsp'],
    )
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': APP },
      args: [
        ...['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0'],
        ...['--certfile', 'one.pem', '--keyfile', 'one.key'],
        ...['--ocsp-file', certificates.path('one.ocsp')],
      ],
    })
    const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
    const said = readFileSync(certificates.path('one.ocsp'))
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      t.deepEqual(await stapleFor(Number(port), { maxVersion }), said)
    }
  })
}
