/**
 * What the engine on node:http shows and asks, as `tls.createSecureContext` takes it; also for the arbiter, which tries it
 * before any worker does. Loads neither node's TLS nor its cryptography before it is called.
 */
import type tls from 'node:tls'

import { findPemBlocks } from './certificate.ts'
import { CIPHER_SUITES } from './ciphers.ts'
import type { TlsCertificate, TlsMaterial } from './material.ts'

/** Why node's TLS takes no such material; undefined if it does. */
export function findNodeTlsProblem(material: TlsMaterial): string | undefined {
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  try {
    for (const one of material.certificates)
      createSecureContext(secureContextOptions(material, [one]))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * What is shown where no name says otherwise: the first, and those of other kinds of keys that share a name with it. No
 * others: before Node 24 what is found by a name comes beside these.
 */
export function defaultCertificates({ certificates }: TlsMaterial): TlsCertificate[] {
  const [first] = certificates
  return certificates.filter((one) => one === first || sharesHostName(one, first))
}

function sharesHostName(one: TlsCertificate, other: TlsCertificate | undefined): boolean {
  return one.hostNames.some((name) => other?.hostNames.includes(name) === true)
}

/** Of several with keys of one kind the first counts: OpenSSL has a place for each kind. */
export function secureContextOptions(
  material: TlsMaterial,
  certificates: readonly TlsCertificate[],
): tls.SecureContextOptions {
  const { clientAuth, ciphers, minVersion, maxVersion } = material
  const suites =
    ciphers.length === 0
      ? CIPHER_SUITES
      : CIPHER_SUITES.filter(({ number }) => ciphers.includes(number))
  const rank = ({ number }: { number: number }) => ciphers.indexOf(number)
  const shown = new Map<string | undefined, TlsCertificate>()
  // The last one stays, and before Node 24 the one that was set last is found by a name: the first, in both.
  for (const one of [...certificates].reverse()) {
    const kind = keyTypeOf(one)
    shown.delete(kind)
    shown.set(kind, one)
  }
  return {
    cert: [...shown.values()].map(({ chain }) => chain),
    key: [...shown.values()].map(({ key }) => key),
    ciphers: [...suites]
      .sort((a, b) => rank(a) - rank(b))
      .map(({ opensslName }) => opensslName)
      .join(':'),
    honorCipherOrder: ciphers.length > 0,
    minVersion: `TLSv${minVersion}`,
    maxVersion: `TLSv${maxVersion}`,
    ...(clientAuth === undefined ? {} : { ca: clientAuth.authorities }),
    // Of a text node reads the first list alone.
    ...(clientAuth === undefined || clientAuth.crls === ''
      ? {}
      : { crl: findPemBlocks(clientAuth.crls, 'X509 CRL') }),
  }
}

function keyTypeOf({ key }: TlsCertificate): string | undefined {
  return process.getBuiltinModule('node:crypto').createPrivateKey(key).asymmetricKeyType
}
