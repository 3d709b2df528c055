/** The authorities of the native engine's clients, for programs: a client need not send them, and the engine tells what it sent. */
import type { X509Certificate } from 'node:crypto'

import { findPemBlocks } from './certificate.ts'

let text = ''
/** Read when somebody asks: there may be all that browsers have. */
let authorities: readonly X509Certificate[] | undefined

export function setClientAuthorities(pem = ''): void {
  if (pem === text) return
  text = pem
  authorities = undefined
}

/** Which of them has issued a certificate. */
export function findIssuer(certificate: X509Certificate): X509Certificate | undefined {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  authorities ??= findPemBlocks(text, 'CERTIFICATE').map((block) => new X509Certificate(block))
  return authorities.find((one) => certificate.checkIssued(one))
}
