/** Converts TLS material to the form that the native engine takes. */
import type { NativeTlsMaterial } from '../native/index.ts'
import type { TlsClientAuth, TlsMaterial } from './material.ts'

/** Converts material and session ticket keys; the first key encrypts tickets. */
export function toNativeMaterial(material: TlsMaterial, ticketKeys: Buffer[]): NativeTlsMaterial {
  const { certificates, minVersion, maxVersion, clientAuth } = material
  return {
    certificates: certificates.map(({ chain, key, hostNames, ocspResponse }) => ({
      chain,
      key,
      names: [...hostNames],
      staple: ocspResponse === undefined ? undefined : Buffer.from(ocspResponse, 'base64'),
    })),
    protocols: [...material.alpnProtocols],
    strictEnds: material.requiresCloseNotify,
    onlyTls13: minVersion === '1.3',
    onlyTls12: maxVersion === '1.2',
    ciphers: [...material.ciphers],
    clients: clientAuth && toNativeClients(clientAuth),
    ticketKeys,
  }
}

function toNativeClients({ authorities, crls, isRequired, acceptsUntrusted }: TlsClientAuth) {
  return { authorities, revocations: crls, required: isRequired, lenient: acceptsUntrusted }
}
