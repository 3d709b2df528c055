// Certificates for tests, made by openssl, as most people make theirs.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

/** A directory of certificates that goes with the test. */
export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'monoceros-tls-'))

  constructor(t: ExecutionContext) {
    t.teardown(() => rmSync(this.directory, { recursive: true, force: true }))
  }

  openssl(...args: string[]): string {
    const { directory: cwd } = this
    return execFileSync('openssl', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  text(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  /** All files, by name. */
  files(): Record<string, string> {
    return Object.fromEntries(readdirSync(this.directory).map((name) => [name, this.text(name)]))
  }

  /** NAME.pem and NAME.key: a certificate that vouches for itself. */
  selfSigned(name: string, host = 'localhost'): this {
    this.openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '30', '-subj', `/CN=${name}`],
      ...['-addext', `subjectAltName=DNS:${host},IP:127.0.0.1`],
    )
    return this
  }
}
