/** TLS as programs ask node for it, the options of `tls.createServer`, to what both engines read. */
import type tls from 'node:tls'

import { monocerosError } from '../errors.ts'
import { certified, readChain, readKey } from './certificate.ts'
import { type CipherSuite, findCipher, splitCiphers } from './ciphers.ts'
import type { TlsClients, TlsMaterial } from './material.ts'

export type TlsOptions = Pick<
  tls.TlsOptions,
  | 'cert'
  | 'key'
  | 'passphrase'
  | 'ca'
  | 'crl'
  | 'ciphers'
  | 'minVersion'
  | 'maxVersion'
  | 'requestCert'
  | 'rejectUnauthorized'
> & {
  /** As the setting has it; it stands above the two of node, which have no word for 1. */
  readonly cert_reqs?: number | undefined
}

/** What is asked for that the engine has nothing for. */
export function unsupportedOptions(options: object): string[] {
  const given = options as Record<string, unknown>
  return UNSUPPORTED.filter((name) => given[name] !== undefined && given[name] !== null)
}

const UNSUPPORTED = [
  'pfx',
  'SNICallback',
  'ALPNCallback',
  'pskCallback',
  'secureProtocol',
  'secureContext',
  'privateKeyIdentifier',
  'clientCertEngine',
]

/** `where` names who gave the options, for the words of an error. */
export function materialOfOptions(
  options: TlsOptions,
  {
    where,
    strictEnds,
    protocols,
  }: Pick<TlsMaterial, 'strictEnds' | 'protocols'> & { where: string },
): TlsMaterial {
  const unsupported = unsupportedOptions(options)
  if (unsupported.length > 0) {
    throw monocerosError('ERR_TLS_OPTIONS', where, `${unsupported.join(', ')} cannot be honoured`)
  }
  const source = (path: string) => ({ setting: where, path })
  const keys = pems(options.key).map((one) =>
    readKey(one.text, source('key'), one.passphrase ?? options.passphrase),
  )
  const chains = pems(options.cert).map(({ text }) => readChain(text, source('cert')))
  if (chains.length === 0 || keys.length === 0) {
    throw monocerosError('ERR_TLS_OPTIONS', where, 'cert and key are needed')
  }
  const certificates = chains.map((chain) => {
    const key = keys.find((one) => chain.first.checkPrivateKey(one))
    if (key === undefined) throw monocerosError('ERR_TLS_MISMATCH', 'key', 'cert')
    return certified(chain, key)
  })
  return {
    certificates,
    protocols,
    strictEnds,
    minVersion: options.minVersion === 'TLSv1.3' ? '1.3' : '1.2',
    maxVersion: options.maxVersion === 'TLSv1.2' ? '1.2' : '1.3',
    // Of a list in OpenSSL's language what is known here is taken; all that is here is strong.
    ciphers: splitCiphers(options.ciphers ?? '')
      .map(findCipher)
      .filter((one): one is CipherSuite => one !== undefined)
      .map(({ number }) => number),
    clients: clientsOf(options),
  }
}

/** The options that say what a material says. */
export function optionsOfMaterial(material: TlsMaterial, certReqs: number): TlsOptions {
  const { certificates, clients, minVersion, maxVersion } = material
  return {
    cert: certificates.map(({ chain }) => chain),
    key: certificates.map(({ key }) => key),
    minVersion: `TLSv${minVersion}`,
    maxVersion: `TLSv${maxVersion}`,
    cert_reqs: certReqs,
    ...(clients === undefined ? {} : { ca: clients.authorities }),
    ...(clients === undefined || clients.revocations === '' ? {} : { crl: clients.revocations }),
  }
}

function clientsOf(options: TlsOptions): TlsClients | undefined {
  const { cert_reqs: wish, requestCert, rejectUnauthorized } = options
  if (wish === undefined ? requestCert !== true : wish === 0) return undefined
  // As node: whoever names no authorities gets those that browsers have.
  const authorities = options.ca === undefined ? rootCertificates() : texts(options.ca)
  const lenient = wish === undefined && rejectUnauthorized === false
  return {
    authorities: authorities.join('\n'),
    revocations: texts(options.crl).join('\n'),
    required: wish === undefined ? !lenient : wish === 2,
    lenient,
  }
}

function texts(value: unknown): string[] {
  return pems(value).map(({ text }) => text)
}

/** One or several, each a text, its bytes, or an object with a password. */
function pems(value: unknown): { text: string; passphrase?: string | undefined }[] {
  if (value === undefined || value === null) return []
  return (Array.isArray(value) ? value : [value]).map((one) => {
    if (typeof one === 'string' || ArrayBuffer.isView(one)) return { text: textOf(one) }
    const { pem, passphrase } = one as { pem: unknown; passphrase?: string }
    return { text: textOf(pem), passphrase }
  })
}

function textOf(value: unknown): string {
  return ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
    : String(value)
}

// Loaded only where it is asked for: the module is 8 MB.
function rootCertificates(): readonly string[] {
  return process.getBuiltinModule('node:tls').rootCertificates
}
