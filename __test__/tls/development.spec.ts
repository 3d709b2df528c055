// Certificates that no setting names: that of dev_tls, and those of the hook ssl_context. On both
// engines.
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type tls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { ensureDevCertificate } from '../../ts/tls/development.ts'
import { createSelfSigned } from '../../ts/tls/self-signed.ts'
import { ENGINES, startProgram, until } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { meet, refusal, requestOcspResponse, SHOWING_APP, startSecure } from './client.ts'

const CIPHER = 'TLS_AES_256_GCM_SHA384'

for (const engine of ENGINES) {
  test(`--dev-tls creates one certificate and logs its path (${engine})`, async (t) => {
    const certificates = new Certificates(t)
    const env = { XDG_CACHE_HOME: certificates.directory }
    const how = { args: ['--dev-tls'], engine, env }
    const { program, port } = await startSecure(t, new Certificates(t), how)
    const [, path = ''] = /the development certificate is (\S+):/.exec(program.log) ?? []
    t.is(path, join(certificates.directory, 'monoceros/localhost.pem'))
    const ca = readFileSync(path, 'utf8')
    t.is(statSync(path.replace('.pem', '.key')).mode & 0o777, 0o600)
    const strict = { ca, rejectUnauthorized: true }
    t.is((await meet(port, { ...strict, servername: 'localhost' })).shown, 'localhost')
    t.is(
      await refusal(port, { ...strict, servername: 'other.test' }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    )
    const curl = ['-s', '--cacert', path, `https://127.0.0.1:${port}/`]
    t.true(JSON.parse(execFileSync('curl', curl).toString()).encrypted)
    t.regex(certificates.openssl('verify', '-CAfile', path, path), /: OK/)

    const again = await startSecure(t, new Certificates(t), how)
    t.is((await meet(again.port, { ...strict, servername: 'localhost' })).shown, 'localhost')
    t.is(readFileSync(path, 'utf8'), ca)
  })

  test(`defaults() in the hook ssl_context returns the settings (${engine})`, async (t) => {
    const certificates = new Certificates(t).authority('ca').issued('one', 'ca')
    certificates.write('one.der', 'an OCSP response')
    const program = startProgram(t, {
      files: {
        ...certificates.files(),
        'app.cjs': SHOWING_APP,
        'monoceros.config.mjs': `import { readFileSync } from 'node:fs'
          export default {
            certfile: 'one.pem',
            keyfile: 'one.key',
            ocsp_file: 'one.der',
            ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-CHACHA20-POLY1305',
            ssl_context: (config, defaults) =>
              ({ ...defaults(), requestCert: true, ca: readFileSync('ca.pem') }),
          }`,
      },
      args: ['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0'],
    })
    const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
    const client = { cert: certificates.text('one.pem'), key: certificates.text('one.key') }
    const suites = { 'TLSv1.2': 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'TLSv1.3': CIPHER }
    for (const [version, cipher] of Object.entries(suites)) {
      const maxVersion = version as tls.SecureVersion
      t.is((await meet(Number(port), { ...client, maxVersion })).cipher, cipher)
    }
    for (const ciphers of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384']) {
      const options = { ...client, ciphers, maxVersion: 'TLSv1.2' } as const
      t.not(await refusal(Number(port), options), 'let in', ciphers)
    }
    t.not(await refusal(Number(port), {}), 'let in', 'no certificate')
    const response = await requestOcspResponse(Number(port), { ...client, maxVersion: 'TLSv1.3' })
    t.is(response.toString(), 'an OCSP response')
  })

  test(`the hook ssl_context can add to the certificates (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('one', { host: 'one.test' })
      .selfSigned('two', { host: 'two.test' })
    const config = `import { readFileSync } from 'node:fs'
      export default {
        certfile: 'one.pem',
        keyfile: 'one.key',
        ssl_context(config, defaults) {
          const options = defaults()
          const read = (name) => readFileSync(new URL(name, import.meta.url))
          const cert = [...options.cert, read('two.pem')]
          const key = [...options.key, read('two.key')]
          return { ...options, cert, key, minVersion: 'TLSv1.3' }
        },
      }`
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': SHOWING_APP, 'monoceros.config.mjs': config },
      args: ['./app.cjs', '--engine', engine, '-b', '127.0.0.1:0'],
    })
    const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
    t.is((await meet(Number(port), { servername: 'two.test' })).shown, 'two')
    t.is((await meet(Number(port), { servername: 'one.test' })).shown, 'one')
    t.not(await refusal(Number(port), { maxVersion: 'TLSv1.2' }), 'let in')
    // The files that the settings name are watched too.
    for (const kind of ['pem', 'key']) {
      copyFileSync(certificates.path(`two.${kind}`), join(program.directory, `one.${kind}`))
    }
    const other = await until(async () => {
      const { shown } = await meet(Number(port), { servername: 'one.test' })
      return shown === 'two' ? shown : null
    }, 'the new certificate')
    t.is(other, 'two')
  })
}

/** Creates the pair of files that all servers of a user share; several may start at once. */
function developmentPair(t: ExecutionContext) {
  const { directory } = new Certificates(t)
  const make = (date = new Date()) => ensureDevCertificate({ XDG_CACHE_HOME: directory }, date)
  const belongs = () => {
    const { certfile, keyfile } = make()
    const key = createPrivateKey(readFileSync(keyfile))
    return new X509Certificate(readFileSync(certfile)).checkPrivateKey(key)
  }
  return { ...make(), make, belongs }
}

test('a renewed development certificate keeps the key', (t) => {
  const { certfile, keyfile, make, belongs } = developmentPair(t)
  const [certificate, key] = [readFileSync(certfile, 'utf8'), readFileSync(keyfile, 'utf8')]
  make(new Date(Date.now() + 360 * 86_400_000))
  t.not(readFileSync(certfile, 'utf8'), certificate)
  t.is(readFileSync(keyfile, 'utf8'), key)
  t.true(belongs())
  // As if another server had just created its key.
  rmSync(certfile)
  t.true(belongs())
  t.is(readFileSync(keyfile, 'utf8'), key)
  t.deepEqual(readdirSync(dirname(keyfile)).sort(), ['localhost.key', 'localhost.pem'])
})

for (const [what, text] of [
  ['belongs to another certificate', () => createSelfSigned(['other'], always()).key],
  ['is an empty file', () => ''],
  ['is not a key', () => 'no key'],
] as const) {
  test(`a development key that ${what} is replaced or gets a new certificate`, (t) => {
    const { keyfile, belongs } = developmentPair(t)
    writeFileSync(keyfile, text())
    t.true(belongs())
  })
}

function always() {
  return { from: new Date(0), to: new Date(Date.now() + 86_400_000) }
}

for (const [what, hook, text] of [
  ['throws', '() => { throw new Error("no vault") }', /the hook ssl_context failed:\n.*no vault/],
  [
    'returns nothing',
    '() => undefined',
    /ssl_context: it must return options of tls\.createServer/,
  ],
  [
    'names only unsupported ciphers',
    "() => ({ cert: readFileSync('one.pem'), key: readFileSync('one.key'), ciphers: 'NOTHING' })",
    /ssl_context: ciphers NOTHING names no suite that there is/,
  ],
  ['sets an unsupported option', '() => ({ pfx: "x" })', /ssl_context: pfx cannot be honoured/],
  ['returns no certificate', '() => ({})', /ssl_context: cert and key are needed/],
  ['needs defaults that are not set', '(c, d) => d()', /ssl_context needs a certificate/],
] as const) {
  test(`the start fails if the hook ssl_context ${what}`, async (t) => {
    const program = startProgram(t, {
      files: {
        ...new Certificates(t).selfSigned('one').files(),
        'app.cjs': SHOWING_APP,
        'monoceros.config.mjs': `import { readFileSync } from 'node:fs'
          export default { ssl_context: ${hook} }`,
      },
      args: ['./app.cjs', '-b', '127.0.0.1:0'],
    })
    await program.line(text)
    t.is(await program.exited, 1)
  })
}
