/**
 * TLS material as options of `tls.createSecureContext`: for the engine on node:http, and for the
 * arbiter, which tests the material before it starts workers. Node's TLS and cryptography are
 * loaded only when a function is called.
 */
import type tls from 'node:tls'

import { findPemBlocks } from './certificate.ts'
import { CIPHER_SUITES } from './ciphers.ts'
import type { TlsCertificate, TlsMaterial } from './material.ts'

/** Describes why Node's TLS refuses the material; undefined if it accepts it. */
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
 * Lists the certificates for clients without a matching host name: the first one, and those that
 * share a host name with it (they have other key types). Not more, because before Node 24 a context
 * from `SNICallback` is added to these instead of replacing them.
 */
export function defaultCertificates({ certificates }: TlsMaterial): TlsCertificate[] {
  const [first] = certificates
  return certificates.filter((one) => one === first || sharesHostName(one, first))
}

function sharesHostName(one: TlsCertificate, other: TlsCertificate | undefined): boolean {
  return one.hostNames.some((name) => other?.hostNames.includes(name) === true)
}

/** Of several certificates with one key type the first counts: OpenSSL keeps one of each type. */
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
  // In reverse order: a later certificate replaces an earlier one of its type here, and before Node
  // 24 the one that is set last answers a host name. Both must be the first.
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
    // Node.js reads only the first list of each text.
    ...(clientAuth === undefined || clientAuth.crls === ''
      ? {}
      : { crl: findPemBlocks(clientAuth.crls, 'X509 CRL') }),
  }
}

function keyTypeOf({ key }: TlsCertificate): string | undefined {
  return process.getBuiltinModule('node:crypto').createPrivateKey(key).asymmetricKeyType
}
