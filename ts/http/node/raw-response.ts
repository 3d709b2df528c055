/**
 * A response that the application writes to the socket of a request as text, past `ServerResponse`.
 * The engine writes every head itself, so the head is parsed, and the bytes after it are the body.
 * Other protocols are not possible on a connection that speaks HTTP.
 */
import { CLOSE } from '../../engine/exchange.ts'
import type { AttachedPair } from './symbols.ts'

const RESPONSE_HEAD = /^HTTP\/1\.[01] (\d{3}) ?([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n/

/** A longer text is no head, and destroys the connection. */
const MAX_HEAD_BYTES = 65_536

export class RawResponse {
  /** The application has ended the socket. The engine closes the connection after the last byte. */
  isEnded = false
  readonly pair: AttachedPair
  /** Text, in Latin-1, that does not make a complete head yet. */
  #unparsed = ''
  #isHeadSent = false

  constructor(pair: AttachedPair) {
    this.pair = pair
  }

  /** Takes bytes that the application writes to the socket. */
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

  /**
   * Sends a head. After an interim response another head follows: the application's or that of
   * `ServerResponse`.
   */
  #sendHead(status: number, reason: string, fields: string): void {
    const { exchange } = this.pair
    if (status >= 100 && status < 200 && status !== 101) {
      exchange.sendInterim(status, reason, fields)
      return
    }
    this.#isHeadSent = true
    exchange.head(status, reason, fields, CLOSE)
  }

  /**
   * Ends the response with the socket. Returns false if no head has been written, so that no
   * response ends here.
   */
  end(): boolean {
    if (!this.#isHeadSent) return false
    this.isEnded = true
    this.pair.exchange.end()
    return true
  }
}
