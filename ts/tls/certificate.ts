/**
 * Certificates and keys as people have them, to what both engines read: chains of certificates, keys as PKCS #8 without
 * a password.
 */
import type { KeyObject, X509Certificate } from 'node:crypto'

import { MonocerosError, monocerosError } from '../errors.ts'
import { errorCode } from '../process/system.ts'
import type { TlsCertificate } from './material.ts'

/** Where something was read, for the words of an error. */
export interface PemSource {
  /** The setting, or what stands for one. */
  readonly setting: string
  readonly path: string
}

export interface CertificateChain {
  readonly pem: string
  /** The server's own. */
  readonly leaf: X509Certificate
}

/** The certificates of a text in PEM, the server's own first. */
export function readCertificateChain(text: string, source: PemSource): CertificateChain {
  const [first, ...others] = readCertificates(text, source)
  if (first === undefined) throw tlsFileError(source, 'it has no certificate in PEM')
  return { pem: [first, ...others].map((one) => one.toString()).join(''), leaf: first }
}

// Node's cryptography is loaded where it is used: an arbiter without TLS is smaller by a megabyte.

/** All certificates of a text in PEM. */
export function readCertificates(text: string, source: PemSource): X509Certificate[] {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return readPemBlocks(text, 'CERTIFICATE', source).map((block) => new X509Certificate(block))
  } catch (error) {
    if (error instanceof MonocerosError) throw error
    throw tlsFileError(source, describeFileProblem(error), error)
  }
}

/** The blocks of one kind in a text in PEM. */
export function findPemBlocks(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')) ?? []
}

/** The same; a block that is cut off, as by a copy that was not finished, is none to leave out in silence. */
export function readPemBlocks(text: string, label: string, source: PemSource): string[] {
  const blocks = findPemBlocks(text, label)
  for (const mark of ['BEGIN', 'END']) {
    if (text.split(`-----${mark} ${label}-----`).length - 1 !== blocks.length) {
      throw tlsFileError(source, `a block of PEM, ${label}, is cut off`)
    }
  }
  return blocks
}

/** The first private key of a text in PEM: PKCS #8, PKCS #1 or SEC 1, encrypted or not. */
export function readPrivateKey(text: string, source: PemSource, passphrase?: string): KeyObject {
  if (!text.includes('PRIVATE KEY-----')) {
    throw tlsFileError(source, 'it has no private key in PEM')
  }
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  try {
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase && { passphrase }) })
  } catch (error) {
    const code = errorCode(error)
    const isLocked = code === 'ERR_MISSING_PASSPHRASE' || passphrase === undefined
    if (isLocked && text.includes('ENCRYPTED')) {
      throw tlsFileError(
        source,
        'the key is encrypted: keyfile_password says where its password is',
      )
    }
    if (passphrase !== undefined && text.includes('ENCRYPTED')) {
      throw tlsFileError(
        source,
        'the key is encrypted, and the password is not the right one',
        error,
      )
    }
    throw tlsFileError(source, describeFileProblem(error), error)
  }
}

/** What both engines need of a certificate with its key. */
export function createTlsCertificate(
  chain: CertificateChain,
  key: KeyObject,
  staple?: Buffer,
): TlsCertificate {
  return {
    chain: chain.pem,
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    hostNames: hostNamesOf(chain.leaf),
    ...(staple === undefined ? {} : { ocspResponse: staple.toString('base64') }),
  }
}

/** The names of hosts that a certificate is for; the common name counts where there is no other (RFC 6125). */
export function hostNamesOf({ subject, subjectAltName }: X509Certificate): string[] {
  const names = (subjectAltName ?? '')
    .split(', ')
    .flatMap((one) => /^DNS:([\w.*-]+)$/.exec(one)?.[1] ?? [])
  const [common] = /^CN=([\w.*-]+)$/m.exec(subject)?.slice(1) ?? []
  return (names.length === 0 && common !== undefined ? [common] : names).map((name) =>
    name.toLowerCase(),
  )
}

export function tlsFileError(
  { setting, path }: PemSource,
  problem: string,
  cause?: unknown,
): Error {
  const error = monocerosError('ERR_TLS_FILE', setting, path, problem)
  return cause === undefined ? error : error.withCause(cause)
}

/** What was wrong with a file, in words. */
export function describeFileProblem(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error)
  return PROBLEMS_BY_CODE[errorCode(error) ?? ''] ?? said
}

const PROBLEMS_BY_CODE: Record<string, string | undefined> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
}
