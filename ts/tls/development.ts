/**
 * The self-signed certificate of the setting `dev_tls`. It is created on first use and kept in the
 * user's cache directory, so that a browser needs to be made to trust it only once.
 */
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
/** Lifetime of the certificate; browsers refuse much longer ones. */
const VALIDITY_DAYS = 365
/** A certificate with fewer days left is replaced. */
const MIN_DAYS_LEFT = 7

/** Paths of the development certificate and its key. */
export interface DevCertificateFiles {
  readonly certfile: string
  readonly keyfile: string
}

/**
 * Returns the paths of certificate and key; creates the files if they are missing or expire soon.
 */
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
    // The file is missing or malformed: a new one is created.
    return false
  }
}

/**
 * Returns the key in the file, or creates one. If several servers start at once, the key of the
 * first one stays and all of them sign with it, so the certificate that is written last matches the
 * key too.
 */
function ensureKey(path: string): KeyObject {
  const kept = readKeyFile(path)
  if (kept !== undefined && isSigningKey(kept)) return kept
  const key = createSigningKey()
  const text = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  // A file with another kind of key, or none, is replaced.
  if (existsSync(path)) replaceFile(path, text)
  else createFile(path, text)
  return readKeyFile(path) ?? key
}

function readKeyFile(path: string): KeyObject | undefined {
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  try {
    return createPrivateKey(readFileSync(path))
  } catch {
    // The file is missing or holds no key: a new key is created.
    return undefined
  }
}

/** Replaces a file atomically. */
function replaceFile(path: string, text: string): void {
  renameSync(writeTemporaryFile(path, text), path)
}

/** Creates a file atomically, unless another process has created it first. */
function createFile(path: string, text: string): void {
  const temporary = writeTemporaryFile(path, text)
  try {
    linkSync(temporary, path)
  } catch {
    // Another process has created the file, or the file system has no hard links.
    if (!existsSync(path)) return renameSync(temporary, path)
  }
  rmSync(temporary)
}

function writeTemporaryFile(path: string, text: string): string {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, text, { mode: 0o600 })
  return temporary
}
