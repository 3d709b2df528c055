/** The certificate of `dev_tls`: made when it is first needed and kept, so that a browser has to be told once. */
import type { KeyObject } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { describeFileProblem, tlsFileError } from './certificate.ts'
import { createSelfSigned, createSigningKey, isSigningKey } from './self-signed.ts'

const HOST_NAMES = ['localhost', '127.0.0.1', '::1']
const DAY_MS = 86_400_000
/** Browsers refuse certificates that are good for much longer. */
const VALIDITY_DAYS = 365
/** One that ends sooner is made anew. */
const MIN_DAYS_LEFT = 7

export interface DevCertificateFiles {
  readonly certfile: string
  readonly keyfile: string
}

/** Where certificate and key are; they are made if they are not there. */
export function ensureDevCertificate(env: NodeJS.ProcessEnv, date: Date): DevCertificateFiles {
  const directory = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'monoceros')
  const files = {
    certfile: join(directory, 'localhost.pem'),
    keyfile: join(directory, 'localhost.key'),
  }
  if (isUsable(files, date)) return files
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const from = new Date(date.getTime() - DAY_MS)
    const to = new Date(from.getTime() + VALIDITY_DAYS * DAY_MS)
    const { certificate } = createSelfSigned(HOST_NAMES, { from, to }, ensureKey(files.keyfile))
    replaceFile(files.certfile, certificate)
    return files
  } catch (error) {
    throw tlsFileError({ setting: 'dev_tls', path: directory }, describeFileProblem(error), error)
  }
}

function isUsable({ certfile, keyfile }: DevCertificateFiles, date: Date): boolean {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    const certificate = new X509Certificate(readFileSync(certfile))
    const key = readKeyFile(keyfile)
    if (key === undefined || !certificate.checkPrivateKey(key)) return false
    return Date.parse(certificate.validTo) - date.getTime() > MIN_DAYS_LEFT * DAY_MS
  } catch {
    // Not there, or nothing that can be read.
    return false
  }
}

/**
 * The key that is there, else a new one. Of several servers that start at once the first one's stays, and the
 * certificates of all are for it, so whichever is there in the end belongs to it.
 */
function ensureKey(path: string): KeyObject {
  const kept = readKeyFile(path)
  if (kept !== undefined && isSigningKey(kept)) return kept
  const key = createSigningKey()
  const text = key.export({ type: 'pkcs8', format: 'pem' }) as string
  // What is there and no such key is replaced.
  if (existsSync(path)) replaceFile(path, text)
  else createFile(path, text)
  return readKeyFile(path) ?? key
}

function readKeyFile(path: string): KeyObject | undefined {
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  try {
    return createPrivateKey(readFileSync(path))
  } catch {
    // Not there, or none.
    return undefined
  }
}

/** Whole or not at all. */
function replaceFile(path: string, text: string): void {
  renameSync(writeTemporaryFile(path, text), path)
}

/** The same, where nobody else has come first. */
function createFile(path: string, text: string): void {
  const temporary = writeTemporaryFile(path, text)
  try {
    linkSync(temporary, path)
  } catch {
    // Somebody has, or the file system has no links.
    if (!existsSync(path)) return renameSync(temporary, path)
  }
  rmSync(temporary)
}

function writeTemporaryFile(path: string, text: string): string {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, text, { mode: 0o600 })
  return temporary
}
