/**
 * The secrets of session tickets. The arbiter creates them and sends them to every worker, so that
 * a client can resume its session with any worker, also after a reload or with a worker that
 * started later.
 */

import { closeSync, openSync, readSync } from 'node:fs'

/**
 * Time after which a new secret is created. The previous one still reads tickets, so a ticket lasts
 * a day at most.
 */
const ROTATION_MS = 12 * 3_600_000
const SECRET_BYTES = 32

/** The current secrets of session tickets, rotated every 12 hours. */
export class TicketSecrets {
  #secrets: readonly string[] | undefined
  #rotatedMs: number | undefined

  /**
   * Secrets in base64: the first one encrypts tickets, all of them decrypt. Created on first use.
   */
  get secrets(): readonly string[] {
    this.#secrets ??= [createSecret()]
    return this.#secrets
  }

  /** Creates a new secret if the time has come; returns whether it has. */
  rotate(nowMs: number): boolean {
    // No secret has been needed: no listener can use TLS.
    if (this.#secrets === undefined) return false
    this.#rotatedMs ??= nowMs
    if (nowMs - this.#rotatedMs < ROTATION_MS) return false
    this.#rotatedMs = nowMs
    this.#secrets = [createSecret(), ...this.secrets.slice(0, 1)]
    return true
  }
}

/**
 * Reads random bytes from the kernel, which returns up to 256 bytes in one piece (urandom(4)).
 * Node's cryptography would cost an arbiter without TLS most of a megabyte, and every arbiter
 * creates a secret: the program may have a certificate.
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
    // A chroot need not have the device; Node's generator is used below.
    count = 0
  }
  // In a chroot the file may also be an empty one.
  if (count !== SECRET_BYTES) process.getBuiltinModule('node:crypto').randomFillSync(bytes)
  return bytes.toString('base64')
}
