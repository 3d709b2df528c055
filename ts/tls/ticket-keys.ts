/** The keys of session tickets of one server, of what the arbiter hands out. */
import { createHash, hkdfSync } from 'node:crypto'

import type { TlsMaterial } from './material.ts'

/** 16 bytes of name and 32 of key, as node has them. */
const KEY_BYTES = 48

/**
 * Servers that ask different things of their clients have different keys: a session of one is none of the other's. So a
 * new list of what is revoked ends all sessions: a client that comes back with one shows the certificate that it has now.
 */
export function deriveTicketKeys(
  secrets: readonly string[],
  { clientAuth }: TlsMaterial,
): Buffer[] {
  const salt = createHash('sha256')
    .update(JSON.stringify({ ...clientAuth }))
    .digest()
  return secrets.map((secret) => {
    const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), salt, 'tickets', KEY_BYTES)
    return Buffer.from(key)
  })
}
