// Settings with which TLS cannot be spoken: the start says so, in words. One after the other, for each starts the command.
import test from 'ava'

import { startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'

const REFUSED: readonly [string, readonly string[], RegExp][] = [
  [
    'an encrypted key without a password',
    ['--certfile', 'one.pem', '--keyfile', 'locked.key'],
    /keyfile ".*locked\.key" cannot be used: the key is encrypted: set keyfile_password/,
  ],
  [
    'a wrong password',
    ['--certfile', 'one.pem', '--keyfile', 'locked.key', '--keyfile-password', 'file:one.pem'],
    /keyfile ".*locked\.key" cannot be used: the key is encrypted, and the password is wrong/,
  ],
  [
    'a variable that is not there',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--keyfile-password', 'env:NOBODY'],
    /keyfile_password "env:NOBODY" cannot be used: there is no such variable/,
  ],
  [
    'a password in the setting itself',
    ['--certfile', 'one.pem', '--keyfile-password', 'secret'],
    /--keyfile-password must be env:NAME or file:PATH/,
  ],
  [
    'a cipher that nobody knows',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--ciphers', 'HIGH:!aNULL'],
    /--ciphers must be names .*: TLS_AES_256_GCM_SHA384, .*ECDHE-RSA-CHACHA20-POLY1305, got "HIGH:!aNULL"/,
  ],
  [
    'ciphers without a version',
    [
      ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--tls-min-version', '1.3'],
      ...['--ciphers', 'ECDHE-RSA-AES128-GCM-SHA256'],
    ],
    /ciphers ECDHE-RSA-AES128-GCM-SHA256 excludes every version of TLS/,
  ],
  [
    'TLS 1.1',
    ['--tls-min-version', '1.1'],
    /--tls-min-version must be "1\.2" or "1\.3", got "1\.1"/,
  ],
  [
    'clients without authorities',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--cert-reqs', '2'],
    /cert_reqs=2 needs the authorities for client certificates/,
  ],
  [
    'authorities without a certificate of our own',
    ['--ca-certs', 'one.pem', '--cert-reqs', '2'],
    /ca_certs needs a certificate/,
  ],
  [
    'authorities that are not there, though nobody is asked',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--ca-certs', 'none.pem'],
    /ca_certs ".*none\.pem" cannot be used: there is no such file/,
  ],
  [
    'what an authority says of no certificate',
    ['--certificate', 'one.pem:one.key', '--ocsp-file', 'none.der'],
    /ocsp_file needs a certificate/,
  ],
  [
    'a certificate whose issuer is cut off',
    ['--certfile', 'cut.pem', '--keyfile', 'one.key'],
    /certfile ".*cut\.pem" cannot be used: a PEM block \(CERTIFICATE\) is truncated/,
  ],
  [
    'a list of what is revoked that is cut off',
    [
      ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--cert-reqs', '1'],
      ...['--ca-certs', 'one.pem', '--crl-file', 'cut.crl'],
    ],
    /crl_file ".*cut\.crl" cannot be used: a PEM block \(X509 CRL\) is truncated/,
  ],
  [
    'a list of what is revoked that is none',
    [
      ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--cert-reqs', '1'],
      ...['--ca-certs', 'one.pem', '--crl-file', 'one.pem'],
    ],
    /crl_file ".*one\.pem" cannot be used: it has no certificate revocation list/,
  ],
]

for (const [what, args, text] of REFUSED) {
  test.serial(`${what} is refused at the start`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    certificates.openssl(
      ...['pkcs8', '-topk8', '-in', 'one.key', '-passout', 'pass:secret', '-out', 'locked.key'],
    )
    const pem = certificates.text('one.pem')
    certificates.write('cut.pem', pem + pem.slice(0, pem.length / 2))
    certificates.write('cut.crl', '-----BEGIN X509 CRL-----\nMIIB\n')
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': '' },
      args: ['./app.cjs', '-b', '127.0.0.1:0', ...args],
    })
    await program.line(text)
    t.is(await program.exited, 1)
  })
}
