/** The certificate of `dev_tls`: made when it is first needed and kept, so that a browser has to be told once. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { problemOf, refused } from './certificate.ts'
import { selfSigned } from './self-signed.ts'

const NAMES = ['localhost', '127.0.0.1', '::1']
const DAY_MS = 86_400_000
/** Browsers refuse certificates that are good for much longer. */
const DAYS = 365
/** One that ends sooner is made anew. */
const LEAST_DAYS = 7

export interface DevelopmentFiles {
  readonly certfile: string
  readonly keyfile: string
}

/** Where certificate and key are; they are made if they are not there. */
export function developmentFiles(env: NodeJS.ProcessEnv, date: Date): DevelopmentFiles {
  const directory = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'monoceros')
  const files = {
    certfile: join(directory, 'localhost.pem'),
    keyfile: join(directory, 'localhost.key'),
  }
  if (isGood(files, date)) return files
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const from = new Date(date.getTime() - DAY_MS)
    const to = new Date(from.getTime() + DAYS * DAY_MS)
    const { certificate, key } = selfSigned(NAMES, { from, to })
    replace(files.keyfile, key)
    replace(files.certfile, certificate)
    return files
  } catch (error) {
    throw refused({ setting: 'dev_tls', path: directory }, problemOf(error), error)
  }
}

function isGood({ certfile, keyfile }: DevelopmentFiles, date: Date): boolean {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    const { validTo } = new X509Certificate(readFileSync(certfile))
    readFileSync(keyfile)
    return Date.parse(validTo) - date.getTime() > LEAST_DAYS * DAY_MS
  } catch {
    // Not there, or nothing that can be read.
    return false
  }
}

/** Whole or not at all: several servers may start at once. */
function replace(path: string, text: string): void {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, text, { mode: 0o600 })
  renameSync(temporary, path)
}
