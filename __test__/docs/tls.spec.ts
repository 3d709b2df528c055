// Runs every command of docs/tls.md and docs/http2.md, unchanged: each serves over TLS.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { startProgram } from '../process/program.ts'
import { Certificates } from '../tls/certificates.ts'

/** The arguments of `monoceros`, and the variable before it. */
const COMMAND = /^ {4}(?:([A-Z_]+)=(\S+) )?monoceros (.*)$/gm
const APP = `module.exports = (req, res) => res.end('ok')`

for (const page of ['tls.md', 'http2.md']) {
  // A backslash at the end of a line continues the command.
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8').replaceAll(
    / \\\n +/g,
    ' ',
  )
  const commands = new Map([...text.matchAll(COMMAND)].map((match) => [match[0].trim(), match]))
  test(`${page} has commands`, (t) => {
    t.true(commands.size > 0)
  })
  for (const [command, [, name, value, words = '']] of commands) {
    test(`${page}: ${command}`, async (t) => {
      const certificates = new Certificates(t)
      for (const one of ['one', 'two', 'three'])
        certificates.selfSigned(one, { host: `${one}.test` })
      certificates.authority('clients-ca').revoked('clients-ca').selfSigned('rsa', { key: 'rsa' })
      certificates.write('fullchain.pem', certificates.text('one.pem'))
      certificates.write('privkey.pem', certificates.text('one.key')).write('password', 'secret')
      certificates.write('clients.crl', certificates.text('clients-ca.crl'))
      const args = words
        .replace(/(0\.0\.0\.0|localhost):8443/, '127.0.0.1:0')
        .replace('/run/secrets/tls', certificates.path('password'))
      const binds = args.includes('127.0.0.1:0') ? [] : ['-b', '127.0.0.1:0']
      const program = startProgram(t, {
        files: { ...certificates.files(), 'app.js': APP },
        args: [...args.split(' '), ...binds],
        env: {
          XDG_CACHE_HOME: certificates.directory,
          ...(name === undefined ? {} : { [name]: value ?? '' }),
        },
      })
      await program.line(/Listening at: https:\/\/127\.0\.0\.1:\d+/)
      t.pass()
    })
  }
}
