// TLS settings that cannot work: the start fails and logs the reason. Serial, because each test
// starts the command.
import test from 'ava'

import { startProgram } from '../process/program.ts'
import { needsAddon } from '../requirements.ts'
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
    'a password variable that is not set',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--keyfile-password', 'env:UNSET'],
    /keyfile_password "env:UNSET" cannot be used: there is no such variable/,
  ],
  [
    'a password in the setting itself',
    ['--certfile', 'one.pem', '--keyfile-password', 'secret'],
    /--keyfile-password must be env:NAME or file:PATH/,
  ],
  [
    'an unknown cipher',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--ciphers', 'HIGH:!aNULL'],
    /--ciphers must be names .*: TLS_AES_256_GCM_SHA384, .*-CHACHA20-POLY1305, got "HIGH:!aNULL"/,
  ],
  [
    'a cipher list that excludes every TLS version',
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
    'cert_reqs without ca_certs',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--cert-reqs', '2'],
    /cert_reqs=2 needs the authorities for client certificates/,
  ],
  [
    'ca_certs without a server certificate',
    ['--ca-certs', 'one.pem', '--cert-reqs', '2'],
    /ca_certs needs a certificate/,
  ],
  [
    'a missing ca_certs file, even without cert_reqs',
    ['--certfile', 'one.pem', '--keyfile', 'one.key', '--ca-certs', 'none.pem'],
    /ca_certs ".*none\.pem" cannot be used: there is no such file/,
  ],
  [
    'ocsp_file without certfile',
    ['--certificate', 'one.pem:one.key', '--ocsp-file', 'none.der'],
    /ocsp_file needs a certificate/,
  ],
  [
    'a certificate chain that is truncated',
    ['--certfile', 'cut.pem', '--keyfile', 'one.key'],
    /certfile ".*cut\.pem" cannot be used: a PEM block \(CERTIFICATE\) is truncated/,
  ],
  [
    'a revocation list that is truncated',
    [
      ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--cert-reqs', '1'],
      ...['--ca-certs', 'one.pem', '--crl-file', 'cut.crl'],
    ],
    /crl_file ".*cut\.crl" cannot be used: a PEM block \(X509 CRL\) is truncated/,
  ],
  [
    'a crl_file without a revocation list',
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

needsAddon()('a kind of key that the native engine does not support is refused', async (t) => {
  const certificates = new Certificates(t)
  certificates.openssl(
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1', '-nodes'],
    ...['-keyout', 'old.key', '-out', 'old.pem', '-subj', '/CN=old'],
  )
  const program = startProgram(t, {
    files: { ...certificates.files(), 'app.cjs': '' },
    args: [
      ...['./app.cjs', '-b', '127.0.0.1:0', '--engine', 'native'],
      ...['--certfile', 'old.pem', '--keyfile', 'old.key'],
    ],
  })
  await program.line(/TLS cannot be used with these settings: /)
  t.is(await program.exited, 1)
})
