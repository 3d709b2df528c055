/** What a socket of node:tls has beside those of node:net, by what the engine knows of the handshake. */
import type { X509Certificate } from 'node:crypto'
import { createRequire } from 'node:module'
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls'

import type { Connection } from '../../engine/exchange.ts'
import type { SecureFacts } from '../../engine/secure-facts.ts'
import { cipherOf } from '../../tls/ciphers.ts'

// Loaded by those alone who speak TLS.
const require = createRequire(import.meta.url)

interface This {
  readonly connection: Connection
  readonly destroyed: boolean
}

const PROTOCOLS: Readonly<Record<number, string>> = { 771: 'TLSv1.2', 772: 'TLSv1.3' }

const SELF_SIGNED = 'DEPTH_ZERO_SELF_SIGNED_CERT'
const UNKNOWN_ISSUER = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'

type Base = ((this: never, ...details: never[]) => void) & { readonly prototype: object }

/** `base` as it is for connections that speak TLS: a `tls.TLSSocket` for whoever asks. */
export function secureConstructor(base: Base): object {
  function SecureSocket(this: object, ...details: unknown[]): void {
    Reflect.apply(base, this, details)
    Object.assign(this, { encrypted: true, secured: true })
  }
  SecureSocket.prototype = securePrototype(base.prototype)
  return SecureSocket
}

function securePrototype(base: object): object {
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
    return facts(this).isAuthorized
  },
  get authorizationError(): string | null {
    const { error, chain } = facts(this)
    const [own] = chain
    if (error !== UNKNOWN_ISSUER || chain.length !== 1 || own === undefined) return error || null
    const certificate = readCertificate(own)
    return certificate.checkIssued(certificate) ? SELF_SIGNED : error
  },
  get servername(): string | false {
    return facts(this).serverName || false
  },
  get alpnProtocol(): string | false {
    return facts(this).protocol || false
  },

  getProtocol(): string | null {
    return PROTOCOLS[facts(this).version] ?? null
  },
  getCipher(): object {
    const { cipher, version } = facts(this)
    const suite = cipherOf(cipher)
    return { name: suite?.openssl, standardName: suite?.name, version: PROTOCOLS[version] }
  },
  getPeerCertificate(this: This, detailed = false): object | null {
    if (this.destroyed) return null
    const [own, ...issuers] = facts(this).chain.map(readCertificate)
    if (own === undefined) return {}
    const shown: PeerCertificate = own.toLegacyObject()
    if (!detailed) return shown
    let last = shown as DetailedPeerCertificate
    for (const issuer of issuers) {
      last.issuerCertificate = issuer.toLegacyObject() as DetailedPeerCertificate
      last = last.issuerCertificate
    }
    return shown
  },
  getPeerX509Certificate(): X509Certificate | undefined {
    const [own] = facts(this).chain
    return own === undefined ? undefined : readCertificate(own)
  },
  isSessionReused(): boolean {
    return facts(this).isResumed
  },

  // The engine decides how records are cut, and TLS 1.3 has no renegotiation.
  setMaxSendFragment: (): boolean => false,
  disableRenegotiation(): void {},
}

function readCertificate(der: Buffer): X509Certificate {
  const crypto = require('node:crypto') as typeof import('node:crypto')
  return new crypto.X509Certificate(der)
}

function facts(socket: unknown): SecureFacts {
  return (socket as { connection: { secure: SecureFacts } }).connection.secure
}
