/** The kinds of value that only settings of TLS have. */
import * as z from 'zod/mini'

import { areCiphers, CIPHERS } from '../tls/ciphers.ts'
import type { ValueKind } from './kinds.ts'

/** Cipher suites of TLS. */
export const cipherNames: ValueKind<string, string> = {
  schema: z.string().check(z.refine(areCiphers)),
  allowed: `names with colons between them of ${CIPHERS.map(({ openssl }) => openssl).join(', ')}`,
  placeholder: 'NAMES',
  fromText: (names) => names,
  words: CIPHERS.flatMap(({ name, openssl }) => [openssl, name]),
}

/** Where a password is. */
export const passwordSource: ValueKind<string, string> = {
  schema: z.string().check(z.regex(/^(env:\w+|file:.+)$/)),
  allowed: 'env:NAME or file:PATH, which say where the password is',
  placeholder: 'env:NAME|file:PATH',
  fromText: (where) => where,
}
