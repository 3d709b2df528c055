/** The cipher suites that both engines support, with their OpenSSL and IANA names. */

/** A TLS cipher suite with its names. */
export interface CipherSuite {
  /** The code point in the TLS handshake, from the IANA registry. */
  readonly number: number
  /** For TLS 1.3 the same as `opensslName`. */
  readonly ianaName: string
  readonly opensslName: string
  readonly version: '1.2' | '1.3'
}

/** All supported suites. */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  tls13Suite(0x1302, 'TLS_AES_256_GCM_SHA384'),
  tls13Suite(0x1301, 'TLS_AES_128_GCM_SHA256'),
  tls13Suite(0x1303, 'TLS_CHACHA20_POLY1305_SHA256'),
  tls12Suite(0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
  tls12Suite(0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  tls12Suite(
    0xcca9,
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ),
  tls12Suite(0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'),
  tls12Suite(0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'),
  tls12Suite(0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'),
]

function tls13Suite(number: number, name: string): CipherSuite {
  return { number, ianaName: name, opensslName: name, version: '1.3' }
}

function tls12Suite(number: number, name: string, openssl: string): CipherSuite {
  return { number, ianaName: name, opensslName: openssl, version: '1.2' }
}

/** Splits a list of names at colons, commas and spaces. */
export function splitCipherList(list: string): string[] {
  return list.split(/[\s:,]+/).filter((name) => name !== '')
}

/** Finds a suite by its IANA or OpenSSL name, in any case. */
export function findCipherByName(name: string): CipherSuite | undefined {
  const wanted = name.toUpperCase()
  return CIPHER_SUITES.find((one) => one.ianaName === wanted || one.opensslName === wanted)
}

/** Finds a suite by its code point. */
export function findCipherByNumber(number: number): CipherSuite | undefined {
  return CIPHER_SUITES.find((one) => one.number === number)
}

/**
 * Resolves a list in OpenSSL's cipher list format to the suites that both engines support;
 * undefined if it names none of them. As in Node.js, a list without a TLS 1.3 suite keeps all of
 * TLS 1.3, and a list of TLS 1.3 suites alone excludes TLS 1.2.
 */
export function resolveCipherList(names: readonly string[]): readonly CipherSuite[] | undefined {
  const known = names.map(findCipherByName).filter((one): one is CipherSuite => one !== undefined)
  const ofVersion = (version: CipherSuite['version'], from = known) =>
    from.filter((one) => one.version === version)
  const isWide = names.some((name) => INCLUSIVE_KEYWORDS.includes(name.toUpperCase()))
  const [newer, older] = [ofVersion('1.3'), ofVersion('1.2')]
  if (isWide && older.length === 0) older.push(...ofVersion('1.2', [...CIPHER_SUITES]))
  if (newer.length === 0 && older.length === 0) return undefined
  return [...(newer.length === 0 ? ofVersion('1.3', [...CIPHER_SUITES]) : newer), ...older]
}

/** Keywords of OpenSSL's cipher list format that include every supported suite. */
const INCLUSIVE_KEYWORDS = ['DEFAULT', 'ALL', 'HIGH']

/** Whether a list is not empty and all its names are known. */
export function isKnownCipherList(list: string): boolean {
  const names = splitCipherList(list)
  return names.length > 0 && names.every((name) => findCipherByName(name) !== undefined)
}
