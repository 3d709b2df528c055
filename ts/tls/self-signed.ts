/**
 * Creates self-signed certificates for development, so that no program such as openssl is needed.
 * An X.509 certificate is a few nested ASN.1 values in DER (RFC 5280); Node.js does the
 * cryptography.
 */
import type { KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { parseAddressBytes } from '../listen/address-bytes.ts'

/** ASN.1 tags (X.680), and the context-specific tags of RFC 5280. */
const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTF8: 0x0c,
  SEQUENCE: 0x30,
  SET: 0x31,
  UTC_TIME: 0x17,
  VERSION: 0xa0,
  EXTENSIONS: 0xa3,
  DNS_NAME: 0x82,
  IP_ADDRESS: 0x87,
} as const

const OID = {
  COMMON_NAME: '550403',
  ECDSA_SHA256: '2a8648ce3d040302',
  SUBJECT_ALT_NAME: '551d11',
  BASIC_CONSTRAINTS: '551d13',
  KEY_USAGE: '551d0f',
  EXTENDED_KEY_USAGE: '551d25',
  SERVER_AUTH: '2b06010505070301',
  SUBJECT_KEY_ID: '551d0e',
} as const

/** A certificate and its key, both as PEM. */
export interface SelfSignedCertificate {
  readonly certificate: string
  readonly key: string
}

/** Creates an elliptic curve key on P-256. */
export function createSigningKey(): KeyObject {
  const { generateKeyPairSync } = process.getBuiltinModule('node:crypto')
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Whether a key is on the curve P-256, like those of `createSigningKey`. */
export function isSigningKey({ asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyDetails?.namedCurve === 'prime256v1'
}

/** Creates a certificate for host names and IP addresses; the first one is its subject. */
export function createSelfSigned(
  names: readonly string[],
  validity: { from: Date; to: Date },
  privateKey = createSigningKey(),
): SelfSignedCertificate {
  const { createPublicKey, sign } = process.getBuiltinModule('node:crypto')
  const publicKey = createPublicKey(privateKey)
  const name = derSequence(
    derValue(
      TAG.SET,
      derSequence(derOid(OID.COMMON_NAME), derValue(TAG.UTF8, Buffer.from(names[0] ?? ''))),
    ),
  )
  const algorithm = derSequence(derOid(OID.ECDSA_SHA256))
  const body = derSequence(
    derValue(TAG.VERSION, derValue(TAG.INTEGER, Buffer.from([2]))),
    derValue(TAG.INTEGER, serialNumber()),
    algorithm,
    name,
    derSequence(derTime(validity.from), derTime(validity.to)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    derValue(TAG.EXTENSIONS, derSequence(...extensions(names, publicKey))),
  )
  const signature = sign('sha256', body, privateKey)
  const certificate = derSequence(body, algorithm, derBitString(signature))
  return {
    certificate: toPem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function extensions(names: readonly string[], publicKey: KeyObject): Buffer[] {
  const id = process
    .getBuiltinModule('node:crypto')
    .createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
  return [
    extension(OID.SUBJECT_ALT_NAME, derSequence(...names.map(subjectAltName))),
    // Not a CA: a browser can trust the certificate, but it cannot sign others.
    extension(OID.BASIC_CONSTRAINTS, derSequence(), { critical: true }),
    // The bit digitalSignature (RFC 5280 section 4.2.1.3), with seven unused bits.
    extension(OID.KEY_USAGE, derValue(TAG.BIT_STRING, Buffer.from([7, 0x80])), { critical: true }),
    extension(OID.EXTENDED_KEY_USAGE, derSequence(derOid(OID.SERVER_AUTH))),
    extension(OID.SUBJECT_KEY_ID, derValue(TAG.OCTET_STRING, id)),
  ]
}

function extension(id: string, content: Buffer, { critical = false } = {}): Buffer {
  const marks = critical ? [derValue(TAG.BOOLEAN, Buffer.from([0xff]))] : []
  return derSequence(derOid(id), ...marks, derValue(TAG.OCTET_STRING, content))
}

function subjectAltName(name: string): Buffer {
  if (isIP(name) === 0) return derValue(TAG.DNS_NAME, Buffer.from(name, 'ascii'))
  return derValue(TAG.IP_ADDRESS, Buffer.from(parseAddressBytes(name)))
}

/** Creates a serial number that is random and positive (RFC 5280 section 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = process.getBuiltinModule('node:crypto').randomBytes(16)
  bytes[0] = 0x40 | (bytes.readUInt8(0) & 0x3f)
  return bytes
}

/** Encodes a date as UTCTime, which RFC 5280 section 4.1.2.5 demands for dates before 2050. */
function derTime(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]|\.\d+/g, '')
  return derValue(TAG.UTC_TIME, Buffer.from(text.slice(2), 'ascii'))
}

function derOid(hex: string): Buffer {
  return derValue(TAG.OID, Buffer.from(hex, 'hex'))
}

function derBitString(bytes: Buffer): Buffer {
  return derValue(TAG.BIT_STRING, Buffer.concat([Buffer.from([0]), bytes]))
}

function derSequence(...parts: Buffer[]): Buffer {
  return derValue(TAG.SEQUENCE, Buffer.concat(parts))
}

function derValue(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
