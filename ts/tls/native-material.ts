/** TLS as the native engine takes it. */
import type { NativeTlsMaterial } from '../native/index.ts'
import type { TlsMaterial } from './material.ts'

export function nativeMaterial(material: TlsMaterial, ticketKeys: Buffer[]): NativeTlsMaterial {
  const { certificates, protocols, strictEnds, minVersion, maxVersion, ciphers, clients } = material
  return {
    certificates: certificates.map(({ chain, key, names, staple }) => ({
      ...{ chain, key, names: [...names] },
      staple: staple === undefined ? undefined : Buffer.from(staple, 'base64'),
    })),
    protocols: [...protocols],
    strictEnds,
    onlyTls13: minVersion === '1.3',
    onlyTls12: maxVersion === '1.2',
    ciphers: [...ciphers],
    clients,
    ticketKeys,
  }
}
