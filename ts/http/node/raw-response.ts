/**
 * What a program writes straight to the socket of a request, in place of an answer: a head in HTTP's own words, and
 * bytes behind it. The head is read back, since the engine writes every head itself; anything but HTTP cannot be said
 * on a connection that speaks it.
 */
import { CLOSE } from '../../engine/exchange.ts'
import type { AttachedPair } from './symbols.ts'

const RESPONSE_HEAD = /^HTTP\/1\.[01] (\d{3}) ?([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n/

/** A longer head is no head. */
const MAX_HEAD_BYTES = 65_536

export class RawResponse {
  /** The program has ended its side; the engine closes the connection behind the last byte. */
  isEnded = false
  readonly pair: AttachedPair
  #unparsed = ''
  #isHeadSent = false

  constructor(call: AttachedPair) {
    this.pair = call
  }

  write(chunk: Uint8Array): void {
    const { exchange, isHeadSent } = this.pair
    if (this.#isHeadSent || isHeadSent) {
      exchange.write(chunk)
      return
    }
    this.#unparsed += Buffer.from(chunk).toString('latin1')
    while (!this.#isHeadSent) {
      const match = RESPONSE_HEAD.exec(this.#unparsed)
      if (match === null) {
        if (this.#unparsed.length > MAX_HEAD_BYTES) exchange.connection.destroy()
        return
      }
      this.#unparsed = this.#unparsed.slice(match[0].length)
      const [, status, reason = '', fields = ''] = match
      this.#sendHead(Number(status), reason, fields)
    }
    if (this.#unparsed !== '') exchange.write(this.#unparsed, 'latin1')
    this.#unparsed = ''
  }

  /** Behind an interim answer another head follows, the program's own or node's. */
  #sendHead(status: number, reason: string, fields: string): void {
    const { exchange } = this.pair
    if (status >= 100 && status < 200 && status !== 101) {
      exchange.inform(status, reason, fields)
      return
    }
    this.#isHeadSent = true
    exchange.head(status, reason, fields, CLOSE)
  }

  /** The program ends the connection; false when that is not the end of an answer of its own. */
  end(): boolean {
    if (!this.#isHeadSent) return false
    this.isEnded = true
    this.pair.exchange.end()
    return true
  }
}
