/** The keys of session tickets of one server, of what the arbiter hands out. */
import { createHash, hkdfSync } from 'node:crypto'

import type { TlsMaterial } from './material.ts'

/** 16 bytes of name and 32 of key, as node has them. */
const KEY_BYTES = 48

/** Servers that ask different things of their clients have different keys: a session of one is none of the other's. */
export function ticketKeys(
  secrets: readonly string[],
  { clients }: TlsMaterial,
  { judgesResumed }: { judgesResumed: boolean },
): Buffer[] {
  // Where a session is not judged by the newest list of what is revoked, a new list ends all sessions.
  const asked = JSON.stringify({ ...clients, ...(judgesResumed ? { revocations: '' } : {}) })
  const salt = createHash('sha256').update(asked).digest()
  return secrets.map((secret) => {
    const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), salt, 'tickets', KEY_BYTES)
    return Buffer.from(key)
  })
}
