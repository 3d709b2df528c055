/** Converts the options of `tls.createServer`, as programs write them, to TLS material and back. */
import type tls from 'node:tls'

import { monocerosError } from '../errors.ts'
import { createTlsCertificate, readCertificateChain, readPrivateKey } from './certificate.ts'
import {
  CIPHER_SUITES,
  findCipherByName,
  findCipherByNumber,
  resolveCipherList,
  splitCipherList,
} from './ciphers.ts'
import type { TlsCertificate, TlsClientAuth, TlsMaterial, TlsVersion } from './material.ts'

/** The options of `tls.createServer` that the engines support, and `cert_reqs`. */
export type ProgramTlsOptions = Pick<
  tls.TlsOptions,
  | 'cert'
  | 'key'
  | 'passphrase'
  | 'ca'
  | 'crl'
  | 'ciphers'
  | 'minVersion'
  | 'maxVersion'
  | 'secureOptions'
  | 'requestCert'
  | 'rejectUnauthorized'
> & {
  /** Like the setting. Overrides `requestCert` and `rejectUnauthorized`, which cannot express 1. */
  readonly cert_reqs?: number | undefined
}

/** The settings as such options: each certificate as a text, and its key at the same index. */
export type SettingsTlsOptions = ProgramTlsOptions & { cert: string[]; key: string[] }

/** Lists the options that are set and that the engines do not support. */
export function listUnsupportedOptions(options: object): string[] {
  return UNSUPPORTED_OPTIONS.filter((name) => (Reflect.get(options, name) ?? null) !== null)
}

const UNSUPPORTED_OPTIONS = [
  'pfx',
  'SNICallback',
  'ALPNCallback',
  'pskCallback',
  'secureProtocol',
  'secureContext',
  'privateKeyIdentifier',
  'clientCertEngine',
]

interface OptionsContext extends Pick<TlsMaterial, 'requiresCloseNotify' | 'alpnProtocols'> {
  /** Who set the options, for error messages. */
  readonly source: string
  /**
   * Certificates of the settings: their OCSP responses are kept if the options name the same ones.
   */
  readonly settingsCertificates?: readonly TlsCertificate[]
}

/** Converts options to material; throws ERR_TLS_OPTIONS if they cannot be used. */
export function materialFromOptions(
  options: ProgramTlsOptions,
  {
    source: where,
    requiresCloseNotify: strictEnds,
    alpnProtocols: protocols,
    settingsCertificates: known = [],
  }: OptionsContext,
): TlsMaterial {
  const unsupported = listUnsupportedOptions(options)
  if (unsupported.length > 0) {
    throw monocerosError('ERR_TLS_OPTIONS', where, `${unsupported.join(', ')} cannot be honoured`)
  }
  const source = (path: string) => ({ setting: where, path })
  const keys = readPemOption(options.key).map((one) =>
    readPrivateKey(one.text, source('key'), one.passphrase ?? options.passphrase),
  )
  const chains = readPemOption(options.cert).map(({ text }) =>
    readCertificateChain(text, source('cert')),
  )
  if (chains.length === 0 || keys.length === 0) {
    throw monocerosError('ERR_TLS_OPTIONS', where, 'cert and key are needed')
  }
  const certificates = chains.map((chain) => {
    const key = keys.find((one) => chain.leaf.checkPrivateKey(one))
    if (key === undefined) throw monocerosError('ERR_TLS_MISMATCH', 'key', 'cert')
    const staple = known.find((one) => one.chain.startsWith(chain.leaf.toString()))?.ocspResponse
    return createTlsCertificate(
      chain,
      key,
      staple === undefined ? undefined : Buffer.from(staple, 'base64'),
    )
  })
  return {
    certificates,
    alpnProtocols: protocols,
    requiresCloseNotify: strictEnds,
    ...versionsOf(options, where),
    clientAuth: clientAuthOf(options),
  }
}

/** Bits of `secureOptions` that switch a version off (openssl/ssl.h). */
const NO_TLS12 = 0x0800_0000
const NO_TLS13 = 0x2000_0000

/** Throws ERR_TLS_OPTIONS if no version is left; the engines have no version before TLS 1.2. */
function versionsOf(
  { ciphers: wish, minVersion, maxVersion, secureOptions = 0 }: ProgramTlsOptions,
  where: string,
): Pick<TlsMaterial, 'minVersion' | 'maxVersion' | 'ciphers'> {
  const names = splitCipherList(wish ?? '')
  const suites = names.length === 0 ? CIPHER_SUITES : resolveCipherList(names)
  if (suites === undefined) {
    throw monocerosError('ERR_TLS_OPTIONS', where, `ciphers ${wish} names no suite that there is`)
  }
  const versions = (['1.2', '1.3'] as const).filter(
    (version) =>
      version >= (minVersion?.slice(4) ?? '') &&
      version <= (maxVersion?.slice(4) ?? '1.3') &&
      (secureOptions & (version === '1.2' ? NO_TLS12 : NO_TLS13)) === 0 &&
      suites.some((suite) => suite.version === version),
  )
  const [first, last]: (TlsVersion | undefined)[] = [versions[0], versions.at(-1)]
  if (first === undefined || last === undefined) {
    const asked = 'minVersion, maxVersion, secureOptions and ciphers'
    throw monocerosError('ERR_TLS_OPTIONS', where, `${asked} leave no version of TLS`)
  }
  // A list of keywords alone states no preference: the client's order counts.
  const isNamed = names.some((name) => findCipherByName(name) !== undefined)
  const ciphers = isNamed ? suites.map(({ number }) => number) : []
  return { minVersion: first, maxVersion: last, ciphers }
}

/** Converts material to options; the reverse of `materialFromOptions`. */
export function optionsFromMaterial(material: TlsMaterial, certReqs: number): SettingsTlsOptions {
  const { certificates, ciphers, clientAuth, minVersion, maxVersion } = material
  const suites = ciphers.flatMap((number) => findCipherByNumber(number)?.opensslName ?? [])
  return {
    cert: certificates.map(({ chain }) => chain),
    key: certificates.map(({ key }) => key),
    minVersion: `TLSv${minVersion}`,
    maxVersion: `TLSv${maxVersion}`,
    ...(suites.length === 0 ? {} : { ciphers: suites.join(':') }),
    // Left out if the settings do not ask clients: `requestCert` of the program counts then.
    ...(certReqs === 0 ? {} : { cert_reqs: certReqs }),
    ...(clientAuth === undefined ? {} : { ca: clientAuth.authorities }),
    ...(clientAuth === undefined || clientAuth.crls === '' ? {} : { crl: clientAuth.crls }),
  }
}

function clientAuthOf(options: ProgramTlsOptions): TlsClientAuth | undefined {
  const { cert_reqs: wish, requestCert, rejectUnauthorized } = options
  if (wish === undefined ? requestCert !== true : wish === 0) return undefined
  // As in Node.js: without `ca`, the authorities of browsers are trusted.
  const authorities = options.ca === undefined ? rootCertificates() : pemTexts(options.ca)
  const lenient = wish === undefined && rejectUnauthorized === false
  return {
    authorities: authorities.join('\n'),
    crls: pemTexts(options.crl).join('\n'),
    isRequired: wish === undefined ? !lenient : wish === 2,
    acceptsUntrusted: lenient,
  }
}

function pemTexts(value: unknown): string[] {
  return readPemOption(value).map(({ text }) => text)
}

/**
 * Reads a PEM option: one value or several, each a text, its bytes, or an object with a passphrase.
 */
function readPemOption(value: unknown): { text: string; passphrase?: string | undefined }[] {
  if (value === undefined || value === null) return []
  return (Array.isArray(value) ? value : [value]).map((one) => {
    if (typeof one === 'string' || ArrayBuffer.isView(one)) return { text: textOf(one) }
    const { pem, passphrase }: { pem: unknown; passphrase?: string } = one
    return { text: textOf(pem), passphrase }
  })
}

function textOf(value: unknown): string {
  return ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
    : String(value)
}

// Loaded only here: the module takes 8 MB.
function rootCertificates(): readonly string[] {
  return process.getBuiltinModule('node:tls').rootCertificates
}
