// OCSP responses are sent in the handshake to clients that ask for them (OCSP stapling).
import { readFileSync } from 'node:fs'
import test from 'ava'

import { ENGINES, startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { requestOcspResponse } from './client.ts'

const APP = `module.exports = (req, res) => res.end('ok')`

for (const engine of ENGINES) {
  test(`clients that ask for it get the OCSP response of ocsp_file (${engine})`, async (t) => {
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
    const response = readFileSync(certificates.path('one.ocsp'))
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      t.deepEqual(await requestOcspResponse(Number(port), { maxVersion }), response)
    }
  })
}
