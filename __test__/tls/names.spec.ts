// Certificates by host name, key formats, TLS versions and ciphers: on both engines.
import test from 'ava'

import { CIPHER_SUITES } from '../../ts/tls/ciphers.ts'
import { ENGINES } from '../process/program.ts'
import { Certificates } from './certificates.ts'
import { meet, refusal, startSecure } from './client.ts'

for (const engine of ENGINES) {
  test(`a client gets the certificate of the host name in its SNI (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('one', { host: 'one.test' })
      .selfSigned('two', { host: '*.two.test' })
      // Before Node 24, Node.js adds a certificate for a name to the first one, and the key type
      // decides.
      .selfSigned('three', { host: 'three.test', key: engine === 'native' ? 'rsa' : 'ec' })
    const args = ['--certfile', 'one.pem', '--keyfile', 'one.key']
    const more = ['--certificate', 'two.pem:two.key', '--certificate', 'three.pem:three.key']
    const { port } = await startSecure(t, certificates, { args: [...args, ...more], engine })
    const shown = async (servername: string) => (await meet(port, { servername })).shown
    t.is(await shown('one.test'), 'one')
    t.is(await shown('a.two.test'), 'two')
    t.is(await shown('THREE.test'), 'three')
    // A star matches one label.
    for (const name of ['two.test', 'a.b.two.test', 'unknown.test', '']) {
      t.is(await shown(name), 'one', name)
    }
    // A fully qualified name, with a dot at the end.
    t.is(await shown('a.two.test.'), 'two')
    const { body } = await meet(port, { servername: 'three.test', ALPNProtocols: ['http/1.1'] })
    t.like(body, { isTls: true, encrypted: true, name: 'three.test', alpn: 'http/1.1' })
    t.like(body, { authorized: false, error: null, reused: false })
    t.like((await meet(port)).body, { name: false, alpn: false })
  })

  test(`ALPN selects http/1.0, and without a match sends an alert (${engine})`, async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const args = ['--certfile', 'one.pem', '--keyfile', 'one.key']
    const { port } = await startSecure(t, certificates, { args, engine })
    t.like((await meet(port, { ALPNProtocols: ['http/1.0'] })).body, { alpn: 'http/1.0' })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      // Without an alert the error would be ECONNRESET.
      t.regex(
        await refusal(port, { ALPNProtocols: ['gopher'], maxVersion }),
        /^(EPROTO|ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)$/,
        maxVersion,
      )
    }
  })

  for (const [what, host] of [
    ['with the same names', 'same.test'],
    ['that share some names', 'same.test,DNS:www.same.test'],
  ] as const) {
    test(`the client's sigalgs decide between certificates ${what} (${engine})`, async (t) => {
      const certificates = new Certificates(t)
        .selfSigned('ec', { host })
        .selfSigned('rsa', { host: 'same.test', key: 'rsa' })
      const args = ['--certificate', 'ec.pem:ec.key', '--certificate', 'rsa.pem:rsa.key']
      const { port } = await startSecure(t, certificates, { args, engine })
      const asking = (sigalgs: string) => meet(port, { servername: 'same.test', sigalgs })
      t.is((await asking('ecdsa_secp256r1_sha256')).shown, 'ec')
      t.is((await asking('rsa_pss_rsae_sha256')).shown, 'rsa')
    })
  }

  test(`of certificates with one name and key type the first counts (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('first', { host: 'a.test,DNS:both.test' })
      .selfSigned('again', { host: 'a.test,DNS:both.test' })
      .selfSigned('other', { host: 'b.test,DNS:both.test' })
      .selfSigned('third', { host: 'c.test,DNS:d.test' })
      .selfSigned('fourth', { host: 'd.test,DNS:e.test' })
    const names = ['first', 'again', 'other', 'third', 'fourth']
    const args = names.flatMap((name) => ['--certificate', `${name}.pem:${name}.key`])
    const { port } = await startSecure(t, certificates, { args, engine })
    const shown = async (servername: string) => (await meet(port, { servername })).shown
    t.is(await shown('a.test'), 'first')
    t.is(await shown('both.test'), 'first')
    t.is(await shown('b.test'), 'other')
    t.is(await shown('c.test'), 'third')
    t.is(await shown('d.test'), 'third')
    t.is(await shown('e.test'), 'fourth')
  })

  test(`keys of every format are read, with keyfile_password (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('ec', { host: 'ec.test' })
      .selfSigned('rsa', { host: 'rsa.test', key: 'rsa' })
    const pass = ['-passout', 'pass:secret']
    certificates.openssl('ec', '-in', 'ec.key', '-out', 'sec1.key')
    certificates.openssl('ec', '-in', 'ec.key', '-aes256', ...pass, '-out', 'locked-sec1.key')
    certificates.openssl('rsa', '-in', 'rsa.key', '-traditional', '-out', 'pkcs1.key')
    certificates.openssl(
      ...['rsa', '-in', 'rsa.key', '-traditional', '-aes256', ...pass, '-out', 'locked-pkcs1.key'],
    )
    certificates.openssl(
      ...['pkcs8', '-topk8', '-in', 'ec.key', '-v2', 'aes-256-cbc', ...pass],
      ...['-out', 'locked-pkcs8.key'],
    )
    certificates.write('password', 'secret\n')
    t.regex(certificates.text('sec1.key'), /BEGIN EC PRIVATE KEY/)
    t.regex(certificates.text('pkcs1.key'), /BEGIN RSA PRIVATE KEY/)
    const names = ['sec1', 'locked-sec1', 'pkcs1', 'locked-pkcs1', 'locked-pkcs8']
    const args = names.flatMap((name) => [
      '--certificate',
      `${name.includes('pkcs1') ? 'rsa' : 'ec'}.pem:${name}.key`,
    ])
    for (const where of ['env:TLS_PASSWORD', 'file:password']) {
      const { port } = await startSecure(t, certificates, {
        args: [...args, '--keyfile-password', where],
        engine,
        env: { TLS_PASSWORD: 'secret' },
      })
      const sigalgs = 'rsa_pss_rsae_sha256'
      t.is((await meet(port, { servername: 'rsa.test', sigalgs })).shown, 'rsa')
      const { shown, body } = await meet(port, { servername: 'ec.test' })
      t.is(shown, 'ec')
      t.is(body.password, where.startsWith('env') ? undefined : 'secret')
    }
  })

  test(`only the TLS versions and ciphers of the settings are offered (${engine})`, async (t) => {
    const certificates = new Certificates(t)
      .selfSigned('ec', { host: 'ec.test' })
      .selfSigned('rsa', { host: 'rsa.test', key: 'rsa' })
    const shown = ['--certificate', 'ec.pem:ec.key', '--certificate', 'rsa.pem:rsa.key']
    const all = await startSecure(t, certificates, { args: shown, engine })
    for (const { opensslName: openssl, ianaName: name, version } of CIPHER_SUITES) {
      const servername = openssl.includes('RSA') ? 'rsa.test' : 'ec.test'
      const only = version === '1.3' ? name : openssl
      const host = openssl.includes('ECDHE-ECDSA') ? 'ec.test' : servername
      const wanted = `TLSv${version}` as const
      const met = await meet(all.port, {
        ...{ servername: host, ciphers: only, minVersion: wanted, maxVersion: wanted },
      })
      t.is(met.protocol, wanted)
      t.is(met.cipher, name)
      t.deepEqual(met.body.cipher, { name: openssl, standardName: name, version: wanted })
      t.is(met.body.protocol, wanted)
    }
    t.not(
      await refusal(all.port, {
        ...{ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      }),
      'let in',
    )
    t.not(
      await refusal(all.port, { ciphers: 'ECDHE-RSA-AES128-SHA', maxVersion: 'TLSv1.2' }),
      'let in',
    )

    const newer = await startSecure(t, certificates, {
      args: [...shown, '--tls-min-version', '1.3'],
      engine,
    })
    t.is((await meet(newer.port)).protocol, 'TLSv1.3')
    t.not(await refusal(newer.port, { maxVersion: 'TLSv1.2' }), 'let in')

    const older = await startSecure(t, certificates, {
      args: [...shown, '--tls-max-version', '1.2'],
      engine,
    })
    t.is((await meet(older.port)).protocol, 'TLSv1.2')
    t.not(await refusal(older.port, { minVersion: 'TLSv1.3' }), 'let in')

    const names = 'ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'
    const named = await startSecure(t, certificates, {
      args: [...shown, '--ciphers', names],
      engine,
    })
    const { protocol, cipher } = await meet(named.port, { servername: 'rsa.test' })
    t.is(protocol, 'TLSv1.2')
    t.is(cipher, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256')
  })
}
