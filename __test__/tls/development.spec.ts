// Certificates that no file of the settings holds: the one for development, and those of the hook. On both engines.
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
import { meet, refusal, SHOWING_APP, stapleFor, startSecure } from './client.ts'

const CIPHER = 'TLS_AES_256_GCM_SHA384'

for (const engine of ENGINES) {
  test(`--dev-tls makes a certificate for localhost, once, and says where it is (${engine})`, async (t) => {
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

  test(`what the hook ssl_context has of the settings says what they say (${engine})`, async (t) => {
    const certificates = new Certificates(t).authority('ca').issued('one', 'ca')
    certificates.write('one.der', 'what the authority says')
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
    const said = await stapleFor(Number(port), { ...client, maxVersion: 'TLSv1.3' })
    t.is(said.toString(), 'what the authority says')
  })

  test(`the hook ssl_context returns options of TLS, those of the settings if it likes (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('one', { host: 'one.test' })
      .selfSigned('two', { host: 'two.test' })
    const config = `import { readFileSync } from 'node:fs'
      export default {
        certfile: 'one.pem',
        keyfile: 'one.key',
        ssl_context(config, defaults) {
          const made = defaults()
          const read = (name) => readFileSync(new URL(name, import.meta.url))
          return { ...made, cert: [...made.cert, read('two.pem')], key: [...made.key, read('two.key')], minVersion: 'TLSv1.3' }
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
    // A file that the settings name is looked at all the same.
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

/** One pair of files for all servers of a user, which may start at once. */
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

test('a development certificate that is made anew is for the key that is there', (t) => {
  const { certfile, keyfile, make, belongs } = developmentPair(t)
  const [certificate, key] = [readFileSync(certfile, 'utf8'), readFileSync(keyfile, 'utf8')]
  make(new Date(Date.now() + 360 * 86_400_000))
  t.not(readFileSync(certfile, 'utf8'), certificate)
  t.is(readFileSync(keyfile, 'utf8'), key)
  t.true(belongs())
  // As where another server has just placed its key.
  rmSync(certfile)
  t.true(belongs())
  t.is(readFileSync(keyfile, 'utf8'), key)
  t.deepEqual(readdirSync(dirname(keyfile)).sort(), ['localhost.key', 'localhost.pem'])
})

for (const [what, text] of [
  ['is of another certificate', () => createSelfSigned(['other'], always()).key],
  ['is empty', () => ''],
  ['is none', () => 'no key'],
] as const) {
  test(`a development key that ${what} does not stay for the certificate`, (t) => {
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
    'names no cipher that there is',
    "() => ({ cert: readFileSync('one.pem'), key: readFileSync('one.key'), ciphers: 'NOTHING' })",
    /ssl_context: ciphers NOTHING names no suite that there is/,
  ],
  ['wants what there is not', '() => ({ pfx: "x" })', /ssl_context: pfx cannot be honoured/],
  ['has no certificate', '() => ({})', /ssl_context: cert and key are needed/],
  ['asks for settings that there are not', '(c, d) => d()', /ssl_context needs a certificate/],
] as const) {
  test(`a hook ssl_context that ${what} ends the start`, async (t) => {
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
