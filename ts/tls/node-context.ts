/**
 * What the engine on node:http shows and asks, as `tls.createSecureContext` takes it; also for the arbiter, which tries it
 * before any worker does. Loads neither node's TLS nor its cryptography before it is called.
 */
import type tls from 'node:tls'

import { pemBlocks } from './certificate.ts'
import { CIPHERS } from './ciphers.ts'
import type { TlsCertificate, TlsMaterial } from './material.ts'

/** Why node's TLS takes no such material; undefined if it does. */
export function nodeProblem(material: TlsMaterial): string | undefined {
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  try {
    for (const one of material.certificates) createSecureContext(contextOptions(material, [one]))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * What is shown where no name says otherwise: the first, and those of other kinds of keys that share a name with it. No
 * others: before Node 24 what is found by a name comes beside these.
 */
export function shownFirst({ certificates }: TlsMaterial): TlsCertificate[] {
  const [first] = certificates
  return certificates.filter((one) => one === first || isBeside(one, first))
}

function isBeside(one: TlsCertificate, other: TlsCertificate | undefined): boolean {
  return one.names.some((name) => other?.names.includes(name) === true)
}

/** Of several with keys of one kind the first counts: OpenSSL has a place for each kind. */
export function contextOptions(
  material: TlsMaterial,
  certificates: readonly TlsCertificate[],
): tls.SecureContextOptions {
  const { clients, ciphers, minVersion, maxVersion } = material
  const suites =
    ciphers.length === 0 ? CIPHERS : CIPHERS.filter(({ number }) => ciphers.includes(number))
  const rank = ({ number }: { number: number }) => ciphers.indexOf(number)
  const shown = new Map<string | undefined, TlsCertificate>()
  // The last one stays, and before Node 24 the one that was set last is found by a name: the first, in both.
  for (const one of [...certificates].reverse()) {
    const kind = kindOf(one)
    shown.delete(kind)
    shown.set(kind, one)
  }
  return {
    cert: [...shown.values()].map(({ chain }) => chain),
    key: [...shown.values()].map(({ key }) => key),
    ciphers: [...suites]
      .sort((a, b) => rank(a) - rank(b))
      .map(({ openssl }) => openssl)
      .join(':'),
    honorCipherOrder: ciphers.length > 0,
    minVersion: `TLSv${minVersion}`,
    maxVersion: `TLSv${maxVersion}`,
    ...(clients === undefined ? {} : { ca: clients.authorities }),
    // Of a text node reads the first list alone.
    ...(clients === undefined || clients.revocations === ''
      ? {}
      : { crl: pemBlocks(clients.revocations, 'X509 CRL') }),
  }
}

function kindOf({ key }: TlsCertificate): string | undefined {
  return process.getBuiltinModule('node:crypto').createPrivateKey(key).asymmetricKeyType
}
