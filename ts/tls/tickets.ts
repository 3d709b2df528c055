/**
 * What the keys of session tickets are made of. The arbiter makes it and every worker gets it, so that a client is known
 * to whichever worker it comes back to; also after a reload, and to workers that came later.
 */

/** How long tickets are made with one key: a day at most goes by until its tickets are read no more. */
const TURN_MS = 12 * 3_600_000
const SECRET_BYTES = 32

export class TicketSecrets {
  #list: readonly string[] | undefined
  #turnedMs: number | undefined

  /** In base64; the first makes tickets, all read them. */
  get list(): readonly string[] {
    this.#list ??= [newSecret()]
    return this.#list
  }

  /** Makes a new one when it is time, and says whether it was. */
  turn(nowMs: number): boolean {
    // Nobody has asked for one: TLS is not spoken.
    if (this.#list === undefined) return false
    this.#turnedMs ??= nowMs
    if (nowMs - this.#turnedMs < TURN_MS) return false
    this.#turnedMs = nowMs
    this.#list = [newSecret(), ...this.list.slice(0, 1)]
    return true
  }
}

function newSecret(): string {
  // Loaded only where TLS is spoken: an idle arbiter is small.
  const { randomBytes } = process.getBuiltinModule('node:crypto')
  return randomBytes(SECRET_BYTES).toString('base64')
}
