/**
 * Reads certificates and private keys from PEM. The result is what both engines take: certificate
 * chains, and keys as PKCS #8 without a password.
 */
import type { KeyObject, X509Certificate } from 'node:crypto'

import { MonocerosError, monocerosError } from '../errors.ts'
import { errorCode } from '../process/system.ts'
import type { TlsCertificate } from './material.ts'

/** The origin of a PEM text, for error messages. */
export interface PemSource {
  /** Name of the setting, or a description of the program's options. */
  readonly setting: string
  readonly path: string
}

/** A certificate chain, as PEM and parsed. */
export interface CertificateChain {
  readonly pem: string
  /** The certificate of the server itself, the first of the chain. */
  readonly leaf: X509Certificate
}

/** Reads a certificate chain, the server's own certificate first; throws if there is none. */
export function readCertificateChain(text: string, source: PemSource): CertificateChain {
  const [first, ...others] = readCertificates(text, source)
  if (first === undefined) throw tlsFileError(source, 'it has no certificate in PEM')
  return { pem: [first, ...others].map((one) => one.toString()).join(''), leaf: first }
}

// Node's cryptography is loaded only where it is used: an arbiter without TLS saves a megabyte.

/** Reads all certificates of a PEM text; the result may be empty. */
export function readCertificates(text: string, source: PemSource): X509Certificate[] {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return readPemBlocks(text, 'CERTIFICATE', source).map((block) => new X509Certificate(block))
  } catch (error) {
    if (error instanceof MonocerosError) throw error
    throw tlsFileError(source, describeFileProblem(error), error)
  }
}

/** Finds the complete PEM blocks with a label, such as `CERTIFICATE`. */
export function findPemBlocks(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')) ?? []
}

/** Like `findPemBlocks`, but throws if a block is truncated, by an unfinished copy for example. */
export function readPemBlocks(text: string, label: string, source: PemSource): string[] {
  const blocks = findPemBlocks(text, label)
  for (const mark of ['BEGIN', 'END']) {
    if (text.split(`-----${mark} ${label}-----`).length - 1 !== blocks.length) {
      throw tlsFileError(source, `a PEM block (${label}) is truncated`)
    }
  }
  return blocks
}

/** Reads the first private key of a PEM text: PKCS #8, PKCS #1 or SEC 1, encrypted or not. */
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
      throw tlsFileError(source, 'the key is encrypted: set keyfile_password')
    }
    if (passphrase !== undefined && text.includes('ENCRYPTED')) {
      throw tlsFileError(source, 'the key is encrypted, and the password is wrong', error)
    }
    throw tlsFileError(source, describeFileProblem(error), error)
  }
}

/** Combines a chain, its key and an OCSP response (DER) to what both engines take. */
export function createTlsCertificate(
  chain: CertificateChain,
  key: KeyObject,
  staple?: Buffer,
): TlsCertificate {
  return {
    chain: chain.pem,
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    hostNames: hostNamesOf(chain.leaf),
    ...(staple === undefined ? {} : { ocspResponse: staple.toString('base64') }),
  }
}

/**
 * Lists the host names of a certificate. The common name counts only if there is no other (RFC 6125
 * section 6.4.4).
 */
export function hostNamesOf({ subject, subjectAltName }: X509Certificate): string[] {
  const names = (subjectAltName ?? '')
    .split(', ')
    .flatMap((one) => /^DNS:([\w.*-]+)$/.exec(one)?.[1] ?? [])
  const [common] = /^CN=([\w.*-]+)$/m.exec(subject)?.slice(1) ?? []
  return (names.length === 0 && common !== undefined ? [common] : names).map((name) =>
    name.toLowerCase(),
  )
}

/** Creates ERR_TLS_FILE with the setting, the path and the problem. */
export function tlsFileError(
  { setting, path }: PemSource,
  problem: string,
  cause?: unknown,
): Error {
  const error = monocerosError('ERR_TLS_FILE', setting, path, problem)
  return cause === undefined ? error : error.withCause(cause)
}

/** Describes why a file cannot be read or parsed. */
export function describeFileProblem(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return PROBLEMS_BY_CODE[errorCode(error) ?? ''] ?? message
}

const PROBLEMS_BY_CODE: Record<string, string | undefined> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
}
