/** What a socket of node:tls has beside those of node:net, by what the engine knows of the handshake. */
import type { X509Certificate } from 'node:crypto'
import { createRequire } from 'node:module'
import type { DetailedPeerCertificate } from 'node:tls'

import type { Connection } from '../../engine/exchange.ts'
import type { TlsInfo } from '../../engine/tls-info.ts'
import { findIssuer } from '../../tls/authorities.ts'
import { findCipherByNumber } from '../../tls/ciphers.ts'
import { notImplemented } from './errors.ts'
import { kConnection, kShownEncrypted } from './symbols.ts'

// Loaded by those alone who speak TLS.
const require = createRequire(import.meta.url)

interface ThisSecureSocket {
  readonly [kConnection]: Connection
  readonly destroyed: boolean
}

const PROTOCOLS: Readonly<Record<number, string>> = { 771: 'TLSv1.2', 772: 'TLSv1.3' }

const SELF_SIGNED = 'DEPTH_ZERO_SELF_SIGNED_CERT'
const SELF_SIGNED_ABOVE = 'SELF_SIGNED_CERT_IN_CHAIN'
/** Also of one that may vouch for others, as `openssl req -x509` makes them, and vouches for itself. */
const REJECTED = 'CERT_REJECTED'
const UNKNOWN_ISSUER = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'

type BaseConstructor = ((this: never, ...details: never[]) => void) & { readonly prototype: object }

/** `base` as it is for connections that speak TLS: a `tls.TLSSocket` for whoever asks. */
export function createSecureConstructor(base: BaseConstructor): object {
  function SecureSocket(this: object, ...details: unknown[]): void {
    Reflect.apply(base, this, details)
    Object.assign(this, { encrypted: true, [kShownEncrypted]: true })
  }
  SecureSocket.prototype = createSecurePrototype(base.prototype)
  return SecureSocket
}

function createSecurePrototype(base: object): object {
  const { TLSSocket } = require('node:tls') as typeof import('node:tls')
  return Object.create(TLSSocket.prototype, {
    ...Object.getOwnPropertyDescriptors(base),
    ...Object.getOwnPropertyDescriptors(members),
    constructor: { value: TLSSocket, writable: true, configurable: true },
  })
}

/** As node has them on the server's side; where node has `null` or `false` for nothing, so have these. */
const members = {
  secureConnecting: false,
  _secureEstablished: true,

  get authorized(): boolean {
    return tlsInfo(this).isAuthorized
  },
  get authorizationError(): string | null {
    const { error, chain } = tlsInfo(this)
    if (error !== UNKNOWN_ISSUER && error !== REJECTED) return error || null
    const last = completeChain(chain).at(-1)
    if (last === undefined || !last.checkIssued(last) || findIssuer(last)) return error
    return chain.length === 1 ? SELF_SIGNED : SELF_SIGNED_ABOVE
  },
  get servername(): string | false {
    return tlsInfo(this).serverName || false
  },
  get alpnProtocol(): string | false {
    return tlsInfo(this).protocol || false
  },

  getProtocol(): string | null {
    return PROTOCOLS[tlsInfo(this).version] ?? null
  },
  getCipher(): object {
    const { cipher, version } = tlsInfo(this)
    const suite = findCipherByNumber(cipher)
    return { name: suite?.opensslName, standardName: suite?.ianaName, version: PROTOCOLS[version] }
  },
  getPeerCertificate(this: ThisSecureSocket, detailed = false): object | null {
    if (this.destroyed) return null
    const { chain } = tlsInfo(this)
    const [own] = chain
    if (own === undefined) return {}
    if (!detailed) return readCertificate(own).toLegacyObject()
    const certificates = completeChain(chain)
    const shown = certificates.map((one) => one.toLegacyObject() as DetailedPeerCertificate)
    for (const [index, one] of shown.entries()) {
      const isOwnIssuer = certificates[index]?.checkIssued(certificates[index]) === true
      const issuer = isOwnIssuer ? one : shown[index + 1]
      if (issuer !== undefined) one.issuerCertificate = issuer
    }
    return shown[0] ?? {}
  },
  getPeerX509Certificate(): X509Certificate | undefined {
    const certificates = tlsInfo(this).chain.map(readCertificate)
    // Those that the client has sent, as on node.
    for (const [index, one] of certificates.entries()) {
      const value = certificates[index + 1]
      Object.defineProperty(one, 'issuerCertificate', { value, configurable: true })
    }
    return certificates[0]
  },
  isSessionReused(): boolean {
    return tlsInfo(this).isResumed
  },

  // The secret stays with the engine.
  exportKeyingMaterial(): never {
    throw notImplemented('exportKeyingMaterial')
  },

  // The engine decides how records are cut, and TLS 1.3 has no renegotiation.
  setMaxSendFragment: (): boolean => false,
  disableRenegotiation(): void {},
}

/** Each with its issuer behind it as far as it is known: what the client has sent, then its authority here. */
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
  const crypto = require('node:crypto') as typeof import('node:crypto')
  return new crypto.X509Certificate(der)
}

function tlsInfo(socket: unknown): TlsInfo {
  return (socket as { [kConnection]: { secure: TlsInfo } })[kConnection].secure
}
