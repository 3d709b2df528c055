/**
 * The certificate authorities that the native engine trusts for clients. A client need not send
 * them, so `getPeerCertificate()` completes the client's chain with them.
 */
import type { X509Certificate } from 'node:crypto'

import { findPemBlocks } from './certificate.ts'

let text = ''
/** Parsed on first use: the list may be that of all browsers. */
let authorities: readonly X509Certificate[] | undefined

/** Replaces the authorities; `pem` holds any number of certificates. */
export function setClientAuthorities(pem = ''): void {
  if (pem === text) return
  text = pem
  authorities = undefined
}

/** Finds the authority that has issued a certificate. */
export function findIssuer(certificate: X509Certificate): X509Certificate | undefined {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  authorities ??= findPemBlocks(text, 'CERTIFICATE').map((block) => new X509Certificate(block))
  return authorities.find((one) => certificate.checkIssued(one))
}
