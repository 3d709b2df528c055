/**
 * What TLS needs, read from the files that the settings name. The arbiter reads them, as the user who starts it, and hands
 * their contents to the workers, who need no right to read a key.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { alpnProtocols } from '../engine/protocols.ts'
import { monocerosError } from '../errors.ts'
import { errorCode } from '../process/system.ts'
import type { Config } from '../settings/config.ts'

/** All in PEM; keys are PKCS #8 and without a password. */
export interface TlsMaterial {
  /** The first is the one for clients that ask for no name that another has. */
  readonly certificates: readonly TlsCertificate[]
  /** The protocols offered by ALPN, the preferred one first. */
  readonly protocols: readonly string[]
  /** The end of a connection without close_notify is an error. */
  readonly strictEnds: boolean
}

export interface TlsCertificate {
  /** The certificate and those that lead to a known authority. */
  readonly chain: string
  readonly key: string
}

type TlsConfig = Pick<
  Config,
  'certfile' | 'keyfile' | 'suppress_ragged_eofs' | 'chdir' | 'http_protocols'
>

/** Undefined when the settings name no certificate. */
export function readTls(config: TlsConfig): TlsMaterial | undefined {
  const { certfile, keyfile, chdir } = config
  if (certfile === null) {
    if (keyfile !== null) throw monocerosError('ERR_TLS_CERTIFICATE', 'keyfile')
    return undefined
  }
  const path = resolve(chdir, certfile)
  const chain = readChain('certfile', path)
  const key =
    keyfile === null ? readKey('certfile', path) : readKey('keyfile', resolve(chdir, keyfile))
  if (!chain.first.checkPrivateKey(key)) {
    throw monocerosError('ERR_TLS_MISMATCH', keyfile ?? certfile, certfile)
  }
  return {
    certificates: [{ chain: chain.pem, key: pkcs8(key) }],
    protocols: alpnProtocols(config),
    strictEnds: !config.suppress_ragged_eofs,
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

function readChain(setting: string, path: string): { pem: string; first: X509Certificate } {
  const blocks = readText(setting, path).match(CERTIFICATE) ?? []
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block))
    if (first === undefined) {
      throw monocerosError('ERR_TLS_FILE', setting, path, 'it has no certificate in PEM')
    }
    const pem = [first, ...others].map((certificate) => certificate.toString()).join('')
    return { pem, first }
  } catch (error) {
    throw refused(setting, path, error)
  }
}

function readKey(setting: string, path: string): KeyObject {
  const text = readText(setting, path)
  if (!text.includes('PRIVATE KEY-----')) {
    throw monocerosError('ERR_TLS_FILE', setting, path, 'it has no private key in PEM')
  }
  try {
    return createPrivateKey({ key: text, format: 'pem' })
  } catch (error) {
    throw refused(setting, path, error)
  }
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function readText(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw refused(setting, path, error)
  }
}

function refused(setting: string, path: string, error: unknown): unknown {
  const code = errorCode(error)
  if (code === 'ERR_TLS_FILE') return error
  const said = error instanceof Error ? error.message : String(error)
  return monocerosError('ERR_TLS_FILE', setting, path, READABLE[code ?? ''] ?? said).causedBy(error)
}

const READABLE: Record<string, string | undefined> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ERR_MISSING_PASSPHRASE: 'the key is encrypted',
}
