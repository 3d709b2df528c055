/**
 * What the keys of session tickets are made of. The arbiter makes it and every worker gets it, so that a client is known
 * to whichever worker it comes back to; also after a reload, and to workers that came later.
 */

import { closeSync, openSync, readSync } from 'node:fs'

/** How long tickets are made with one key: a day at most goes by until its tickets are read no more. */
const ROTATION_MS = 12 * 3_600_000
const SECRET_BYTES = 32

export class TicketSecrets {
  #secrets: readonly string[] | undefined
  #rotatedMs: number | undefined

  /** In base64; the first makes tickets, all read them. */
  get secrets(): readonly string[] {
    this.#secrets ??= [createSecret()]
    return this.#secrets
  }

  /** Makes a new one when it is time, and says whether it was. */
  rotate(nowMs: number): boolean {
    // Nobody has asked for one: no address can speak TLS.
    if (this.#secrets === undefined) return false
    this.#rotatedMs ??= nowMs
    if (nowMs - this.#rotatedMs < ROTATION_MS) return false
    this.#rotatedMs = nowMs
    this.#secrets = [createSecret(), ...this.secrets.slice(0, 1)]
    return true
  }
}

/**
 * The kernel gives so few bytes at once and whole (urandom(4)). Node's cryptography would be most of a megabyte of an
 * arbiter that speaks no TLS, and every one makes a secret: the program may have a certificate.
 */
function createSecret(): string {
  const bytes = Buffer.alloc(SECRET_BYTES)
  let count = 0
  try {
    const fd = openSync('/dev/urandom', 'r')
    try {
      count = readSync(fd, bytes)
    } finally {
      closeSync(fd)
    }
  } catch {
    count = 0
  }
  // In a directory that was made the root it need not be there, and may be a file of nothing.
  if (count !== SECRET_BYTES) process.getBuiltinModule('node:crypto').randomFillSync(bytes)
  return bytes.toString('base64')
}
