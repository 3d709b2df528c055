/** The kinds of value that settings of TLS have. */
import * as z from 'zod/mini'

import { CIPHER_SUITES, isKnownCipherList } from '../tls/ciphers.ts'
import type { ValueKind } from './kinds.ts'

const OPENSSL_NAMES = CIPHER_SUITES.map(({ opensslName }) => opensslName)

/** Names of TLS cipher suites, of OpenSSL or IANA. */
export const cipherNames: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isKnownCipherList)),
  allowed: `names of cipher suites, separated by colons: ${OPENSSL_NAMES.join(', ')}`,
  placeholder: 'NAMES',
  fromText: (names) => names,
  words: CIPHER_SUITES.flatMap(({ ianaName, opensslName }) => [opensslName, ianaName]),
}

/** The source of a password: an environment variable or a file. */
export const passwordSource: ValueKind<string, string> = {
  schema: z.string().check(z.regex(/^(env:\w+|file:.+)$/)),
  allowed: 'env:NAME or file:PATH of the password',
  placeholder: 'env:NAME|file:PATH',
  fromText: (where) => where,
}
