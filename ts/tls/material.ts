/**
 * TLS material: the contents of the files that the settings name. The arbiter reads the files as
 * the user that starts it and sends the contents to the workers as JSON, so workers need no
 * permission to read a key.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { alpnProtocols } from '../engine/protocols.ts'
import { monocerosError } from '../errors.ts'
import type { Config } from '../settings/config.ts'
import {
  createTlsCertificate,
  describeFileProblem,
  type PemSource,
  readCertificateChain,
  readCertificates,
  readPemBlocks,
  readPrivateKey,
  tlsFileError,
} from './certificate.ts'
import { type CipherSuite, findCipherByName, splitCipherList } from './ciphers.ts'

/**
 * Certificates and TLS parameters of a server. Texts are PEM; keys are PKCS #8 without a password.
 */
export interface TlsMaterial {
  /** The first one is for clients that send no host name, or one that no certificate has. */
  readonly certificates: readonly TlsCertificate[]
  /** Protocol names for ALPN (RFC 7301), in order of preference. */
  readonly alpnProtocols: readonly string[]
  /** A connection that is closed without close_notify (RFC 8446 section 6.1) is an error. */
  readonly requiresCloseNotify: boolean
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion
  /** Code points in order of preference. Empty means all suites, in the client's order. */
  readonly ciphers: readonly number[]
  /** Undefined if clients are not asked for a certificate. */
  readonly clientAuth?: TlsClientAuth | undefined
}

/** The TLS versions that both engines support. */
export type TlsVersion = '1.2' | '1.3'

/** A certificate with its key, as PEM. */
export interface TlsCertificate {
  /** The certificate, then the intermediate ones. */
  readonly chain: string
  readonly key: string
  /** Host names of the certificate, in small letters; the first label may be `*`. */
  readonly hostNames: readonly string[]
  /** OCSP response to staple, in base64 (RFC 6066 section 8). */
  readonly ocspResponse?: string
}

/** How client certificates are verified. */
export interface TlsClientAuth {
  readonly authorities: string
  /** Certificate revocation lists; if there are any, each authority needs one. */
  readonly crls: string
  /** A client without a certificate is refused. */
  readonly isRequired: boolean
  /**
   * Certificates that fail verification are accepted and left to the application
   * (`rejectUnauthorized: false`).
   */
  readonly acceptsUntrusted: boolean
}

/** The settings that TLS material depends on. */
export type TlsConfig = Pick<
  Config,
  | 'certfile'
  | 'keyfile'
  | 'keyfile_password'
  | 'certificates'
  | 'ocsp_file'
  | 'ca_certs'
  | 'cert_reqs'
  | 'crl_file'
  | 'tls_min_version'
  | 'tls_max_version'
  | 'ciphers'
  | 'suppress_ragged_eofs'
  | 'chdir'
  | 'http_protocols'
>

/** Reads a file; replaced to record which files the material comes from. */
export type ReadFile = (path: string) => Buffer

/** Reads the material of the settings; undefined if they name no certificate. */
export function readTlsMaterial(
  config: TlsConfig,
  readFile: ReadFile = readFileSync,
): TlsMaterial | undefined {
  const files = new TlsFileReader(config, readFile)
  const password = files.password()
  const named = listCertificates(config)
  // These two belong to `certfile`; entries of `certificates` have their own.
  for (const name of ['keyfile', 'ocsp_file'] as const) {
    if (config.certfile === null && config[name] !== null) {
      throw monocerosError('ERR_TLS_CERTIFICATE', name)
    }
  }
  if (named.length === 0) {
    for (const name of ['ca_certs', 'crl_file'] as const) {
      if (config[name] !== null) throw monocerosError('ERR_TLS_CERTIFICATE', name)
    }
    if (config.cert_reqs > 0) throw monocerosError('ERR_TLS_CERTIFICATE', 'cert_reqs')
    return undefined
  }
  return {
    certificates: named.map((one) => files.certificate(one, password)),
    alpnProtocols: alpnProtocols(config),
    requiresCloseNotify: !config.suppress_ragged_eofs,
    ...versionsOf(config),
    clientAuth: files.clients(),
  }
}

interface NamedCertificate {
  readonly setting: string
  readonly certfile: string
  readonly keyfile: string | null
  readonly keySetting: string
  readonly ocspFile: string | null
}

function listCertificates(config: TlsConfig): NamedCertificate[] {
  const { certfile, keyfile, ocsp_file: ocspFile } = config
  const first =
    certfile === null
      ? []
      : [{ setting: 'certfile', certfile, keyfile, keySetting: 'keyfile', ocspFile }]
  const others = config.certificates.map((entry) => {
    const [path = '', key = null, ocsp = null] = entry.split(':')
    const setting = 'certificates'
    return { setting, certfile: path, keyfile: key || null, keySetting: setting, ocspFile: ocsp }
  })
  return [...first, ...others]
}

function versionsOf(config: TlsConfig): Pick<TlsMaterial, 'minVersion' | 'maxVersion' | 'ciphers'> {
  const minVersion = config.tls_min_version
  let maxVersion = config.tls_max_version
  if (minVersion > maxVersion) {
    throw monocerosError('ERR_TLS_VERSIONS', 'tls_min_version', minVersion, 'tls_max_version')
  }
  const suites = splitCipherList(config.ciphers ?? '')
    .map(findCipherByName)
    .filter((one): one is CipherSuite => one !== undefined)
  if (suites.length === 0) return { minVersion, maxVersion, ciphers: [] }
  // The named suites are all that is offered, so a TLS version without a suite is off.
  const has = (version: TlsVersion) => suites.some((one) => one.version === version)
  if (!has('1.3')) maxVersion = '1.2'
  const lowest = has('1.2') ? minVersion : '1.3'
  if (minVersion > maxVersion || lowest > maxVersion) {
    throw monocerosError(
      'ERR_TLS_VERSIONS',
      'ciphers',
      config.ciphers,
      'tls_min_version and tls_max_version',
    )
  }
  return { minVersion: lowest, maxVersion, ciphers: suites.map(({ number }) => number) }
}

/** Reads the files of the settings, relative to `chdir`. */
class TlsFileReader {
  readonly #config: TlsConfig
  readonly #readFile: ReadFile

  constructor(config: TlsConfig, readFile: ReadFile) {
    this.#config = config
    this.#readFile = readFile
  }

  certificate(named: NamedCertificate, password: string | undefined) {
    const { certfile, keyfile, ocspFile } = named
    const source = this.#source(named.setting, certfile)
    const text = this.#text(source)
    const chain = readCertificateChain(text, source)
    const keySource = keyfile === null ? source : this.#source(named.keySetting, keyfile)
    const keyText = keyfile === null ? text : this.#text(keySource)
    const key = readPrivateKey(keyText, keySource, password)
    if (!chain.leaf.checkPrivateKey(key)) {
      throw monocerosError('ERR_TLS_MISMATCH', keyfile ?? certfile, certfile)
    }
    const staple = ocspFile === null ? undefined : this.#bytes(this.#source('ocsp_file', ocspFile))
    return createTlsCertificate(chain, key, staple)
  }

  clients(): TlsClientAuth | undefined {
    const { ca_certs, crl_file, cert_reqs: wish } = this.#config
    // The files are read even if clients are not asked: a wrong name is reported early.
    const authorities = ca_certs === null ? undefined : this.#authorities(ca_certs)
    const revocations = crl_file === null ? '' : this.#revocations(crl_file)
    if (wish === 0) return undefined
    if (authorities === undefined) throw monocerosError('ERR_TLS_AUTHORITIES', wish)
    return { authorities, crls: revocations, isRequired: wish === 2, acceptsUntrusted: false }
  }

  #authorities(path: string): string {
    const source = this.#source('ca_certs', path)
    const text = this.#text(source)
    if (readCertificates(text, source).length === 0) {
      throw tlsFileError(source, 'it has no certificate in PEM')
    }
    return text
  }

  #revocations(path: string): string {
    const source = this.#source('crl_file', path)
    const lists = readPemBlocks(this.#text(source), 'X509 CRL', source)
    if (lists.length === 0) {
      throw tlsFileError(source, 'it has no certificate revocation list in PEM')
    }
    return lists.join('\n')
  }

  /** Reads the password from `env:NAME` or `file:PATH`: no setting holds the password itself. */
  password(): string | undefined {
    const where = this.#config.keyfile_password
    if (where === null) return undefined
    const [, kind, rest = ''] = /^(env|file):(.+)$/s.exec(where) ?? []
    if (kind === 'file') {
      return this.#text(this.#source('keyfile_password', rest)).replace(/\r?\n$/, '')
    }
    const password = process.env[rest]
    if (password === undefined) {
      throw tlsFileError({ setting: 'keyfile_password', path: where }, 'there is no such variable')
    }
    return password
  }

  #source(setting: string, path: string): PemSource {
    return { setting, path: resolve(this.#config.chdir, path) }
  }

  #text(source: PemSource): string {
    return this.#bytes(source).toString('utf8')
  }

  #bytes(source: PemSource): Buffer {
    try {
      return this.#readFile(source.path)
    } catch (error) {
      throw tlsFileError(source, describeFileProblem(error), error)
    }
  }
}

export { alpnProtocols }
