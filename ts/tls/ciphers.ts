/** The cipher suites that both engines have: a table, by which names of OpenSSL and of IANA are understood. */

export interface CipherSuite {
  /** As on the wire. */
  readonly number: number
  /** IANA's name; that of TLS 1.3 is OpenSSL's too. */
  readonly name: string
  readonly openssl: string
  readonly version: '1.2' | '1.3'
}

export const CIPHERS: readonly CipherSuite[] = [
  both(0x1302, 'TLS_AES_256_GCM_SHA384'),
  both(0x1301, 'TLS_AES_128_GCM_SHA256'),
  both(0x1303, 'TLS_CHACHA20_POLY1305_SHA256'),
  suite(0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
  suite(0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  suite(0xcca9, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
  suite(0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'),
  suite(0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'),
  suite(0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'),
]

function both(number: number, name: string): CipherSuite {
  return { number, name, openssl: name, version: '1.3' }
}

function suite(number: number, name: string, openssl: string): CipherSuite {
  return { number, name, openssl, version: '1.2' }
}

/** The names of a list: they may have colons, commas or spaces between them. */
export function splitCiphers(list: string): string[] {
  return list.split(/[\s:,]+/).filter((name) => name !== '')
}

/** The suite of a name. */
export function findCipher(name: string): CipherSuite | undefined {
  const wanted = name.toUpperCase()
  return CIPHERS.find((one) => one.name === wanted || one.openssl === wanted)
}

/** The suite of a number. */
export function cipherOf(number: number): CipherSuite | undefined {
  return CIPHERS.find((one) => one.number === number)
}

/**
 * The suites of a list in OpenSSL's language, as far as it names those that there are; undefined where it names none. As
 * with node a list without a suite of TLS 1.3 leaves those as they are, and one of nothing else means TLS 1.3 alone.
 */
export function suitesOf(names: readonly string[]): readonly CipherSuite[] | undefined {
  const known = names.map(findCipher).filter((one): one is CipherSuite => one !== undefined)
  const ofVersion = (version: CipherSuite['version'], from = known) =>
    from.filter((one) => one.version === version)
  const isWide = names.some((name) => WIDE.includes(name.toUpperCase()))
  const [newer, older] = [ofVersion('1.3'), ofVersion('1.2')]
  if (isWide && older.length === 0) older.push(...ofVersion('1.2', [...CIPHERS]))
  if (newer.length === 0 && older.length === 0) return undefined
  return [...(newer.length === 0 ? ofVersion('1.3', [...CIPHERS]) : newer), ...older]
}

/** Words of OpenSSL that stand for all that is here, among others. */
const WIDE = ['DEFAULT', 'ALL', 'HIGH']

/** Whether all names of a list are known, and there are any. */
export function areCiphers(list: string): boolean {
  const names = splitCiphers(list)
  return names.length > 0 && names.every((name) => findCipher(name) !== undefined)
}
