/**
 * What a program writes straight to the socket of a request, in place of an answer: a head in HTTP's own words, and
 * bytes behind it. The head is read back, since the engine writes every head itself; anything but HTTP cannot be said
 * on a connection that speaks it.
 */
import { CLOSE } from '../../engine/exchange.ts'
import type { InHand } from './symbols.ts'

const HEAD = /^HTTP\/1\.[01] (\d{3}) ?([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n/

/** A longer head is no head. */
const MAX_HEAD_BYTES = 65_536

export class RawAnswer {
  /** The program has ended its side; the engine closes the connection behind the last byte. */
  ended = false
  readonly call: InHand
  #pending = ''
  #headSent = false

  constructor(call: InHand) {
    this.call = call
  }

  write(chunk: Uint8Array): void {
    const { exchange, headSent } = this.call
    if (this.#headSent || headSent) {
      exchange.write(chunk)
      return
    }
    this.#pending += Buffer.from(chunk).toString('latin1')
    while (!this.#headSent) {
      const match = HEAD.exec(this.#pending)
      if (match === null) {
        if (this.#pending.length > MAX_HEAD_BYTES) exchange.connection.destroy()
        return
      }
      this.#pending = this.#pending.slice(match[0].length)
      const [, status, reason = '', fields = ''] = match
      this.#head(Number(status), reason, fields)
    }
    if (this.#pending !== '') exchange.write(this.#pending, 'latin1')
    this.#pending = ''
  }

  /** Behind an interim answer another head follows, the program's own or node's. */
  #head(status: number, reason: string, fields: string): void {
    const { exchange } = this.call
    if (status >= 100 && status < 200 && status !== 101) {
      exchange.inform(status, reason, fields)
      return
    }
    this.#headSent = true
    exchange.head(status, reason, fields, CLOSE)
  }

  /** The program ends the connection; false when that is not the end of an answer of its own. */
  end(): boolean {
    if (!this.#headSent) return false
    this.ended = true
    this.call.exchange.end()
    return true
  }
}
