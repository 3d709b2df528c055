/**
 * The members that `tls.TLSSocket` has beyond `net.Socket`, from what the engine knows of the TLS
 * handshake.
 */
import type { X509Certificate } from 'node:crypto'
import { createRequire } from 'node:module'
import type { PeerCertificate } from 'node:tls'

import type { Connection } from '../../engine/exchange.ts'
import type { TlsInfo } from '../../engine/tls-info.ts'
import { findIssuer } from '../../tls/authorities.ts'
import { findCipherByNumber } from '../../tls/ciphers.ts'
import { notImplemented } from './errors.ts'
import { kConnection, kShownEncrypted } from './symbols.ts'

// node:tls and node:crypto are loaded only by workers that serve TLS.
const require = createRequire(import.meta.url)

interface ThisSecureSocket {
  readonly [kConnection]: Connection & { readonly secure: TlsInfo }
  readonly destroyed: boolean
}

/** Names of the protocol versions in node's `getProtocol`, by their number in the handshake. */
const PROTOCOLS: Readonly<Record<number, string>> = { 771: 'TLSv1.2', 772: 'TLSv1.3' }

const SELF_SIGNED = 'DEPTH_ZERO_SELF_SIGNED_CERT'
const SELF_SIGNED_IN_CHAIN = 'SELF_SIGNED_CERT_IN_CHAIN'
/**
 * The engine's error for, among others, a self-signed certificate that is an authority (`openssl
 * req -x509`).
 */
const REJECTED = 'CERT_REJECTED'
const UNKNOWN_ISSUER = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'

type SocketFunction = ((this: never, ...args: never[]) => void) & { readonly prototype: object }

/**
 * Creates a constructor of secure sockets: they have the members of `base` and are instances of
 * `tls.TLSSocket`.
 */
export function createSecureConstructor(base: SocketFunction): SocketFunction {
  function SecureSocket(this: object, ...args: unknown[]): void {
    Reflect.apply(base, this, args)
    Object.assign(this, { encrypted: true, [kShownEncrypted]: true })
  }
  SecureSocket.prototype = createSecurePrototype(base.prototype)
  return SecureSocket
}

function createSecurePrototype(base: object): object {
  const { TLSSocket }: typeof import('node:tls') = require('node:tls')
  return Object.create(TLSSocket.prototype, {
    ...Object.getOwnPropertyDescriptors(base),
    ...Object.getOwnPropertyDescriptors(members),
    constructor: { value: TLSSocket, writable: true, configurable: true },
  })
}

/**
 * Members in the form that node's server-side sockets have: node uses `null` or `false` where there
 * is no value.
 */
const members: object & ThisType<ThisSecureSocket> = {
  secureConnecting: false,
  _secureEstablished: true,

  get authorized(): boolean {
    return this[kConnection].secure.isAuthorized
  },
  get authorizationError(): string | null {
    const { error, chain } = this[kConnection].secure
    if (error !== UNKNOWN_ISSUER && error !== REJECTED) return error || null
    // Node has errors of its own for a chain that ends with a self-signed certificate.
    const last = completeChain(chain).at(-1)
    if (last === undefined || !last.checkIssued(last) || findIssuer(last)) return error
    return chain.length === 1 ? SELF_SIGNED : SELF_SIGNED_IN_CHAIN
  },
  get servername(): string | false {
    return this[kConnection].secure.serverName || false
  },
  get alpnProtocol(): string | false {
    return this[kConnection].secure.protocol || false
  },

  getProtocol(): string | null {
    return PROTOCOLS[this[kConnection].secure.version] ?? null
  },
  getCipher(): object {
    const { cipher, version } = this[kConnection].secure
    const suite = findCipherByNumber(cipher)
    return { name: suite?.opensslName, standardName: suite?.ianaName, version: PROTOCOLS[version] }
  },
  getPeerCertificate(detailed = false): object | null {
    if (this.destroyed) return null
    const { chain } = this[kConnection].secure
    const [own] = chain
    if (own === undefined) return {}
    if (!detailed) return readCertificate(own).toLegacyObject()
    const certificates = completeChain(chain)
    const shown: ShownCertificate[] = certificates.map((one) => one.toLegacyObject())
    for (const [index, one] of shown.entries()) {
      const isOwnIssuer = certificates[index]?.checkIssued(certificates[index]) === true
      const issuer = isOwnIssuer ? one : shown[index + 1]
      if (issuer !== undefined) one.issuerCertificate = issuer
    }
    return shown[0] ?? {}
  },
  getPeerX509Certificate(): X509Certificate | undefined {
    const certificates = this[kConnection].secure.chain.map(readCertificate)
    // As in node, issuers are only those that the client has sent.
    for (const [index, one] of certificates.entries()) {
      const value = certificates[index + 1]
      Object.defineProperty(one, 'issuerCertificate', { value, configurable: true })
    }
    return certificates[0]
  },
  isSessionReused(): boolean {
    return this[kConnection].secure.isResumed
  },

  // The engine does not export the secret of a session.
  exportKeyingMaterial(): never {
    throw notImplemented('exportKeyingMaterial')
  },

  // The engine decides the size of records, and TLS 1.3 has no renegotiation.
  setMaxSendFragment: (): boolean => false,
  disableRenegotiation(): void {},
}

/** A certificate as `getPeerCertificate` shows it. */
type ShownCertificate = PeerCertificate & { issuerCertificate?: PeerCertificate }

/**
 * Orders the certificates of a client so that each is followed by its issuer, as far as it is
 * known. The client may have sent them in another order; the last one may be an authority that this
 * server trusts.
 */
function completeChain(chain: readonly Buffer[]): X509Certificate[] {
  const [own, ...others] = chain.map(readCertificate)
  if (own === undefined) return []
  const whole = [own]
  for (let last = own; !last.checkIssued(last); ) {
    const at = others.findIndex((one) => last.checkIssued(one))
    const [issuer = findIssuer(last)] = at < 0 ? [] : others.splice(at, 1)
    // Two authorities may have issued each other.
    if (issuer === undefined || whole.includes(issuer)) break
    whole.push(issuer)
    last = issuer
  }
  return whole
}

function readCertificate(der: Buffer): X509Certificate {
  const crypto: typeof import('node:crypto') = require('node:crypto')
  return new crypto.X509Certificate(der)
}
