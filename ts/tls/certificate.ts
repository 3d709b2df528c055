/**
 * Certificates and keys as people have them, to what both engines read: chains of certificates, keys as PKCS #8 without
 * a password.
 */
import type { KeyObject, X509Certificate } from 'node:crypto'

import { MonocerosError, monocerosError } from '../errors.ts'
import { errorCode } from '../process/system.ts'
import type { TlsCertificate } from './material.ts'

/** Where something was read, for the words of an error. */
export interface Source {
  /** The setting, or what stands for one. */
  readonly setting: string
  readonly path: string
}

export interface Chain {
  readonly pem: string
  /** The server's own. */
  readonly first: X509Certificate
}

/** The certificates of a text in PEM, the server's own first. */
export function readChain(text: string, source: Source): Chain {
  const [first, ...others] = readCertificates(text, source)
  if (first === undefined) throw refused(source, 'it has no certificate in PEM')
  return { pem: [first, ...others].map((one) => one.toString()).join(''), first }
}

// Node's cryptography is loaded where it is used: an arbiter without TLS is smaller by a megabyte.

/** All certificates of a text in PEM. */
export function readCertificates(text: string, source: Source): X509Certificate[] {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return wholeBlocks(text, 'CERTIFICATE', source).map((block) => new X509Certificate(block))
  } catch (error) {
    if (error instanceof MonocerosError) throw error
    throw refused(source, problemOf(error), error)
  }
}

/** The blocks of one kind in a text in PEM. */
export function pemBlocks(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')) ?? []
}

/** The same; a block that is cut off, as by a copy that was not finished, is none to leave out in silence. */
export function wholeBlocks(text: string, label: string, source: Source): string[] {
  const blocks = pemBlocks(text, label)
  for (const mark of ['BEGIN', 'END']) {
    if (text.split(`-----${mark} ${label}-----`).length - 1 !== blocks.length) {
      throw refused(source, `a block of PEM, ${label}, is cut off`)
    }
  }
  return blocks
}

/** The first private key of a text in PEM: PKCS #8, PKCS #1 or SEC 1, encrypted or not. */
export function readKey(text: string, source: Source, passphrase?: string): KeyObject {
  if (!text.includes('PRIVATE KEY-----')) {
    throw refused(source, 'it has no private key in PEM')
  }
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  try {
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase && { passphrase }) })
  } catch (error) {
    const code = errorCode(error)
    const isLocked = code === 'ERR_MISSING_PASSPHRASE' || passphrase === undefined
    if (isLocked && text.includes('ENCRYPTED')) {
      throw refused(source, 'the key is encrypted: keyfile_password says where its password is')
    }
    if (passphrase !== undefined && text.includes('ENCRYPTED')) {
      throw refused(source, 'the key is encrypted, and the password is not the right one', error)
    }
    throw refused(source, problemOf(error), error)
  }
}

/** What both engines need of a certificate with its key. */
export function certified(chain: Chain, key: KeyObject, staple?: Buffer): TlsCertificate {
  return {
    chain: chain.pem,
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    names: namesOf(chain.first),
    ...(staple === undefined ? {} : { staple: staple.toString('base64') }),
  }
}

/** The names of hosts that a certificate is for; the common name counts where there is no other (RFC 6125). */
export function namesOf({ subject, subjectAltName }: X509Certificate): string[] {
  const names = (subjectAltName ?? '')
    .split(', ')
    .flatMap((one) => /^DNS:([\w.*-]+)$/.exec(one)?.[1] ?? [])
  const [common] = /^CN=([\w.*-]+)$/m.exec(subject)?.slice(1) ?? []
  return (names.length === 0 && common !== undefined ? [common] : names).map((name) =>
    name.toLowerCase(),
  )
}

export function refused({ setting, path }: Source, problem: string, cause?: unknown): Error {
  const error = monocerosError('ERR_TLS_FILE', setting, path, problem)
  return cause === undefined ? error : error.withCause(cause)
}

/** What was wrong with a file, in words. */
export function problemOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error)
  return READABLE[errorCode(error) ?? ''] ?? said
}

const READABLE: Record<string, string | undefined> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
}
