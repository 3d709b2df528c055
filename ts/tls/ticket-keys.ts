/** Derives the session ticket keys of a server from the secrets that the arbiter sends. */
import { createHash, hkdfSync } from 'node:crypto'

import type { TlsMaterial } from './material.ts'

/** Node's format of ticket keys: 16 bytes of name and 32 of key. */
const KEY_BYTES = 48

/**
 * Servers with different client authentication get different keys, so that a session of one is not
 * resumed at another. A new revocation list therefore ends all sessions, and clients show their
 * certificates again.
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
