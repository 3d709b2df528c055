/** Converts TLS material to the options of a `tls.Server`, for the engine on node:http. */
import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'

import { HTTP1_ALPN } from '../engine/protocols.ts'
import type { TlsMaterial } from './material.ts'
import { defaultCertificates, secureContextOptions } from './node-context.ts'
import { deriveTicketKeys } from './ticket-keys.ts'

/** Lifetime of a session: one day, like the keys of session tickets (`tickets.ts`). */
const SESSION_TIMEOUT_SECONDS = 86_400

/**
 * Shared by all workers. By default, Node.js derives it from the command line, which may differ.
 */
const SESSION_ID_CONTEXT = 'monoceros'

/** Creates the options; check each connection with `isClientRejected` too. */
export function createNodeTlsOptions(
  material: TlsMaterial,
  secrets: readonly string[],
): tls.TlsOptions & { SNICallback: NonNullable<tls.TlsOptions['SNICallback']> } {
  const { certificates, clientAuth } = material
  const names = certificates.map((one) => one.hostNames)
  const contexts = new Map<string, tls.SecureContext>()
  const [keys] = deriveTicketKeys(secrets, material)
  return {
    ...secureContextOptions(material, defaultCertificates(material)),
    ...(keys === undefined ? {} : { ticketKeys: keys }),
    sessionTimeout: SESSION_TIMEOUT_SECONDS,
    sessionIdContext: SESSION_ID_CONTEXT,
    // The engine on node:http serves HTTP/1 only.
    ALPNProtocols: [...HTTP1_ALPN],
    requestCert: clientAuth !== undefined,
    rejectUnauthorized: clientAuth?.isRequired === true && !clientAuth.acceptsUntrusted,
    SNICallback(asked, callback) {
      // The dot at the end of a fully qualified name is not part of a certificate's name.
      const indexes = findCertificateIndexes(names, asked.toLowerCase().replace(/\.$/, ''))
      if (indexes.length === 0 || indexes.includes(0)) return callback(null)
      const id = indexes.join()
      let context = contexts.get(id)
      if (context === undefined) {
        const chosen = indexes.flatMap((index) => certificates[index] ?? [])
        context = tls.createSecureContext(secureContextOptions(material, chosen))
        contexts.set(id, context)
      }
      callback(null, context)
    },
  }
}

/**
 * Whether to close a connection that Node.js has accepted. With `cert_reqs` 1, a client without a
 * certificate is accepted, and one with an invalid certificate is not.
 */
export function isClientRejected({ clientAuth }: TlsMaterial, socket: tls.TLSSocket): boolean {
  if (clientAuth === undefined || clientAuth.acceptsUntrusted || socket.authorized) return false
  return clientAuth.isRequired || socket.getPeerX509Certificate() !== undefined
}

/** Finds the OCSP response for the certificate that is shown (DER); null if there is none. */
export function findOcspResponse({ certificates }: TlsMaterial, shown: Buffer): Buffer | null {
  const certificate = certificates.find(({ chain }) => new X509Certificate(chain).raw.equals(shown))
  return certificate?.ocspResponse === undefined
    ? null
    : Buffer.from(certificate.ocspResponse, 'base64')
}

/**
 * Finds the certificates for a host name: those with the exact name, else those with `*` as its
 * first label.
 */
function findCertificateIndexes(names: readonly (readonly string[])[], asked: string): number[] {
  const having = (name: string) =>
    names.flatMap((some, index) => (some.includes(name) ? [index] : []))
  const exact = having(asked)
  if (exact.length > 0) return exact
  const dot = asked.indexOf('.')
  return dot < 0 ? [] : having(`*${asked.slice(dot)}`)
}
