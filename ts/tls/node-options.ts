/** TLS of node:tls as the material says, for the engine on node:http. */
import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'

import { HTTP1_ALPN } from '../engine/protocols.ts'
import type { TlsMaterial } from './material.ts'
import { defaultCertificates, secureContextOptions } from './node-context.ts'
import { deriveTicketKeys } from './ticket-keys.ts'

/** A day, as the keys of tickets are kept. */
const SESSION_TIMEOUT_SECONDS = 86_400

/** What all servers of one worker say: else node takes the command line, which workers may differ in. */
const SESSION_ID_CONTEXT = 'monoceros'

/** Options of a server; a client that shows no valid certificate is for `refuses` to judge. */
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
    // HTTP/1 is all that there is here.
    ALPNProtocols: [...HTTP1_ALPN],
    requestCert: clientAuth !== undefined,
    rejectUnauthorized: clientAuth?.isRequired === true && !clientAuth.acceptsUntrusted,
    SNICallback(asked, callback) {
      // A dot at the end is the root's and says nothing.
      const places = findCertificateIndexes(names, asked.toLowerCase().replace(/\.$/, ''))
      if (places.length === 0 || places.includes(0)) return callback(null)
      const id = places.join()
      let context = contexts.get(id)
      if (context === undefined) {
        const chosen = places.flatMap((place) => certificates[place] ?? [])
        context = tls.createSecureContext(secureContextOptions(material, chosen))
        contexts.set(id, context)
      }
      callback(null, context)
    },
  }
}

/** Whether a client is refused that has been let through: `cert_reqs` 1 lets in who shows none, and only them. */
export function isClientRejected({ clientAuth }: TlsMaterial, socket: tls.TLSSocket): boolean {
  if (clientAuth === undefined || clientAuth.acceptsUntrusted || socket.authorized) return false
  return clientAuth.isRequired || socket.getPeerX509Certificate() !== undefined
}

/** What the authority of a certificate says of it, if there is such a thing. */
export function findOcspResponse({ certificates }: TlsMaterial, shown: Buffer): Buffer | null {
  const certificate = certificates.find(({ chain }) => new X509Certificate(chain).raw.equals(shown))
  return certificate?.ocspResponse === undefined
    ? null
    : Buffer.from(certificate.ocspResponse, 'base64')
}

/** Where the certificates for a name are: those with the very name, else those with a star for its first label. */
function findCertificateIndexes(names: readonly (readonly string[])[], asked: string): number[] {
  const having = (name: string) =>
    names.flatMap((some, place) => (some.includes(name) ? [place] : []))
  const exact = having(asked)
  if (exact.length > 0) return exact
  const dot = asked.indexOf('.')
  return dot < 0 ? [] : having(`*${asked.slice(dot)}`)
}
