/**
 * What the keys of session tickets are made of. The arbiter makes it and every worker gets it, so that a client is known
 * to whichever worker it comes back to; also after a reload, and to workers that came later.
 */
import { randomBytes } from 'node:crypto'

/** How long tickets are made with one key: a day at most goes by until its tickets are read no more. */
const TURN_MS = 12 * 3_600_000
const SECRET_BYTES = 32

export class TicketSecrets {
  #list: readonly string[] = [newSecret()]
  #turnedMs: number | undefined

  /** In base64; the first makes tickets, all read them. */
  get list(): readonly string[] {
    return this.#list
  }

  /** Makes a new one when it is time, and says whether it was. */
  turn(nowMs: number): boolean {
    this.#turnedMs ??= nowMs
    if (nowMs - this.#turnedMs < TURN_MS) return false
    this.#turnedMs = nowMs
    this.#list = [newSecret(), ...this.#list.slice(0, 1)]
    return true
  }
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64')
}
