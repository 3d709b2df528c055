/** The kinds of value that only settings of TLS have. */
import * as z from 'zod/mini'

import { CIPHER_SUITES, isKnownCipherList } from '../tls/ciphers.ts'
import type { ValueKind } from './kinds.ts'

/** Cipher suites of TLS. */
export const cipherNames: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isKnownCipherList)),
  allowed: `names with colons between them of ${CIPHER_SUITES.map(({ opensslName }) => opensslName).join(', ')}`,
  placeholder: 'NAMES',
  fromText: (names) => names,
  words: CIPHER_SUITES.flatMap(({ ianaName, opensslName }) => [opensslName, ianaName]),
}

/** Where a password is. */
export const passwordSource: ValueKind<string, string> = {
  schema: z.string().check(z.regex(/^(env:\w+|file:.+)$/)),
  allowed: 'env:NAME or file:PATH, which say where the password is',
  placeholder: 'env:NAME|file:PATH',
  fromText: (where) => where,
}
