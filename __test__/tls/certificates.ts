// Certificates for tests, created with openssl, as most people create theirs.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

const NEW_KEYS = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
} as const

interface How {
  readonly host?: string
  readonly key?: keyof typeof NEW_KEYS
  readonly days?: number
  readonly ca?: string
}

/** A directory of certificates that is removed after the test. */
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

  write(name: string, text: string): this {
    writeFileSync(this.path(name), text)
    return this
  }

  /** All files, by name. */
  files(): Record<string, string> {
    const names = readdirSync(this.directory).filter((name) => statSync(this.path(name)).isFile())
    return Object.fromEntries(names.map((name) => [name, this.text(name)]))
  }

  /** Creates NAME.pem and NAME.key, self-signed. */
  selfSigned(name: string, { host = 'localhost', key = 'ec', days = 30 }: How = {}): this {
    this.openssl(
      ...['req', '-x509', ...NEW_KEYS[key], '-nodes', '-days', String(days)],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`],
      ...['-addext', `subjectAltName=DNS:${host},IP:127.0.0.1`],
    )
    return this
  }

  /** Creates a CA, which can issue and revoke. */
  authority(name: string): this {
    this.openssl(
      ...['req', '-x509', ...NEW_KEYS.ec, '-nodes', '-days', '30', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`],
    )
    this.write(`${name}.index`, '')
    this.write(`${name}.crlnumber`, '01\n')
    this.write(
      `${name}.cnf`,
      [
        ...['[ca]', 'default_ca = one', '[one]', `database = ${name}.index`],
        ...[`crlnumber = ${name}.crlnumber`, 'default_md = sha256', 'default_crl_days = 30', ''],
      ].join('\n'),
    )
    return this
  }

  /** Creates NAME.pem and NAME.key, issued by a CA. */
  issued(name: string, ca: string, { host = name, key = 'ec' }: How = {}): this {
    this.openssl(
      ...['req', '-new', ...NEW_KEYS[key], '-nodes', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
    )
    this.write(
      `${name}.ext`,
      `subjectAltName=DNS:${host},IP:127.0.0.1\nbasicConstraints=CA:FALSE\n`,
    )
    this.openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`],
      ...['-CAcreateserial', '-days', '30', '-extfile', `${name}.ext`, '-out', `${name}.pem`],
    )
    return this
  }

  /** Revokes the certificates and writes CA.crl. */
  revoked(ca: string, ...names: string[]): this {
    const signing = ['ca', '-config', `${ca}.cnf`, '-cert', `${ca}.pem`, '-keyfile', `${ca}.key`]
    for (const name of names) this.openssl(...signing, '-revoke', `${name}.pem`)
    this.openssl(...signing, '-gencrl', '-out', `${ca}.crl`)
    return this
  }
}
