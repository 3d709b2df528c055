/**
 * A certificate that vouches for itself, for development: made here, so that it needs no program on the machine. X.509 is
 * a few nested values of ASN.1 (RFC 5280); what is cryptographic in it is node's.
 */
import type { KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { addressBytes } from '../listen/address-bytes.ts'

/** Tags of ASN.1 (X.680), and those that RFC 5280 gives to parts of a certificate. */
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

export interface SelfSigned {
  readonly certificate: string
  readonly key: string
}

export function newKey(): KeyObject {
  const { generateKeyPairSync } = process.getBuiltinModule('node:crypto')
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Whether a key is of the kind that signs here. */
export function canSign({ asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyDetails?.namedCurve === 'prime256v1'
}

/** Makes one for names and addresses, the first of which is its subject. */
export function selfSigned(
  names: readonly string[],
  validity: { from: Date; to: Date },
  privateKey = newKey(),
): SelfSigned {
  const { createPublicKey, sign } = process.getBuiltinModule('node:crypto')
  const publicKey = createPublicKey(privateKey)
  const name = sequence(
    value(TAG.SET, sequence(oid(OID.COMMON_NAME), value(TAG.UTF8, Buffer.from(names[0] ?? '')))),
  )
  const algorithm = sequence(oid(OID.ECDSA_SHA256))
  const body = sequence(
    value(TAG.VERSION, value(TAG.INTEGER, Buffer.from([2]))),
    value(TAG.INTEGER, serialNumber()),
    algorithm,
    name,
    sequence(time(validity.from), time(validity.to)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    value(TAG.EXTENSIONS, sequence(...extensions(names, publicKey))),
  )
  const signature = sign('sha256', body, privateKey)
  const certificate = sequence(body, algorithm, bitString(signature))
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

function extensions(names: readonly string[], publicKey: KeyObject): Buffer[] {
  const id = process
    .getBuiltinModule('node:crypto')
    .createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
  return [
    extension(OID.SUBJECT_ALT_NAME, sequence(...names.map(alternative))),
    // It can stand among the authorities of a browser and vouch for nobody else.
    extension(OID.BASIC_CONSTRAINTS, sequence(), { critical: true }),
    // digitalSignature.
    extension(OID.KEY_USAGE, value(TAG.BIT_STRING, Buffer.from([7, 0x80])), { critical: true }),
    extension(OID.EXTENDED_KEY_USAGE, sequence(oid(OID.SERVER_AUTH))),
    extension(OID.SUBJECT_KEY_ID, value(TAG.OCTET_STRING, id)),
  ]
}

function extension(id: string, content: Buffer, { critical = false } = {}): Buffer {
  const marks = critical ? [value(TAG.BOOLEAN, Buffer.from([0xff]))] : []
  return sequence(oid(id), ...marks, value(TAG.OCTET_STRING, content))
}

function alternative(name: string): Buffer {
  if (isIP(name) === 0) return value(TAG.DNS_NAME, Buffer.from(name, 'ascii'))
  return value(TAG.IP_ADDRESS, Buffer.from(addressBytes(name)))
}

/** Positive, and not the same again. */
function serialNumber(): Buffer {
  const bytes = process.getBuiltinModule('node:crypto').randomBytes(16)
  bytes[0] = 0x40 | (bytes.readUInt8(0) & 0x3f)
  return bytes
}

/** RFC 5280 wants the short form before 2050; what is made here is not valid for so long. */
function time(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]|\.\d+/g, '')
  return value(TAG.UTC_TIME, Buffer.from(text.slice(2), 'ascii'))
}

function oid(hex: string): Buffer {
  return value(TAG.OID, Buffer.from(hex, 'hex'))
}

function bitString(bytes: Buffer): Buffer {
  return value(TAG.BIT_STRING, Buffer.concat([Buffer.from([0]), bytes]))
}

function sequence(...parts: Buffer[]): Buffer {
  return value(TAG.SEQUENCE, Buffer.concat(parts))
}

function value(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
