/** Connections of the native engine, and the streams of those that have several. */

import type { Connection, ExchangeHandler } from '../exchange.ts'
import { TlsInfo } from '../tls-info.ts'
import type { DeferredEnd } from './deferred-end.ts'
import type { NativeExchange } from './exchange.ts'
import { RING_PIECE_BYTES, type Ring } from './ring.ts'
import { copyOf, OUT, u16 } from './wire.ts'

type Family = 'IPv4' | 'IPv6' | undefined

export type Peer = readonly [string | undefined, number | undefined, Family]

/** In the byte of the family. */
const FAMILY_MASK = 15
export const SECURE = 16
const HTTP2 = 32

/** Beside them: it is a stream. */
const STREAM = 64

/** The record of a connection, which begins at `at`, or the connection that a stream is of. */
type Beginning = { readonly text: string; readonly at: number } | NativeConnection

/** Most connections come to the same address: its text is kept once. */
let lastLocal = ''

export class NativeConnection implements Connection {
  /** The connection's, or the exchange's if this is a stream. */
  readonly id: number
  remoteAddress: string | undefined
  remotePort: number | undefined
  remoteFamily: Family
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: Family
  encrypted: boolean
  /** It shows what a proxy told of the client of the request in hand. */
  forwards = false
  attachment: unknown = undefined
  /** The engine has forgotten it, and in time gives its id to another. */
  closed = false
  /** What the engine may not know yet of the last answer. */
  deferredEnd: DeferredEnd | undefined = undefined
  #isEnded = false
  readonly handler: ExchangeHandler
  /** What TLS knows, whatever a proxy tells. */
  readonly secure: TlsInfo | undefined
  readonly #ring: Ring
  /** The client as it connected, while a proxy's word is shown. */
  #own: Peer | undefined
  /** SECURE, whatever a proxy tells, HTTP2 and STREAM. */
  readonly #kind: number

  constructor(ring: Ring, handler: ExchangeHandler, id: number, from: Beginning) {
    this.#ring = ring
    this.handler = handler
    this.id = id
    if (from instanceof NativeConnection) {
      this.#kind = from.#kind | STREAM
      this.encrypted = from.encrypted
      this.secure = from.secure
      this.remoteAddress = from.remoteAddress
      this.remotePort = from.remotePort
      this.remoteFamily = from.remoteFamily
      this.localAddress = from.localAddress
      this.localPort = from.localPort
      this.localFamily = from.localFamily
      return
    }
    const { text, at } = from
    this.#kind = text.charCodeAt(at)
    const family = this.#kind & FAMILY_MASK
    this.encrypted = (this.#kind & SECURE) !== 0
    const remote = at + 7
    const local = remote + text.charCodeAt(at + 5)
    const facts = local + text.charCodeAt(at + 6)
    this.secure = this.encrypted ? new TlsInfo(text, facts) : undefined
    if (family === 0) return
    this.remoteFamily = family === 4 ? 'IPv4' : 'IPv6'
    this.localFamily = this.remoteFamily
    this.remoteAddress = copyOf(text.slice(remote, local))
    this.remotePort = u16(text, at + 1)
    const address = text.slice(local, facts)
    if (address !== lastLocal) lastLocal = copyOf(address)
    this.localAddress = lastLocal
    this.localPort = u16(text, at + 3)
  }

  /** It is a stream of HTTP/2, which carries one exchange. */
  get isStream(): boolean {
    return (this.#kind & STREAM) !== 0
  }

  /** It speaks HTTP/2: its exchanges have streams of their own. */
  get multiplexes(): boolean {
    return (this.#kind & (HTTP2 | STREAM)) === HTTP2
  }

  /** The stream of an exchange. */
  stream(exchange: number): NativeConnection {
    return new NativeConnection(this.#ring, this.handler, exchange, this)
  }

  /** Shows the client of a request. Those of a connection come one after the other, each perhaps of another client. */
  forward(exchange: NativeExchange): void {
    const { secure, client } = exchange.told
    this.#own ??= [this.remoteAddress, this.remotePort, this.remoteFamily]
    this.encrypted = secure || (this.#kind & SECURE) !== 0
    this.forwards = secure || client !== undefined
    ;[this.remoteAddress, this.remotePort, this.remoteFamily] = client ?? this.#own
  }

  destroy(): void {
    this.deferredEnd?.tell()
    this.#command(this.isStream ? OUT.RESET : OUT.DESTROY)
  }

  // A stream ends with its answer.
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.deferredEnd?.tell()
    if (!this.isStream) this.#command(OUT.LEAVE)
  }

  reset(): void {
    if (this.isStream) return this.destroy()
    this.deferredEnd?.tell()
    this.#command(OUT.DESTROY, 1)
  }

  answer(bytes: Uint8Array, end: boolean): void {
    if (this.closed) return
    for (let at = 0; at < bytes.length; at += RING_PIECE_BYTES) {
      this.#ring.data(OUT.ANSWER, this.id, bytes.subarray(at, at + RING_PIECE_BYTES), true)
    }
    if (end) this.#command(OUT.ANSWER, 1)
  }

  // A stream shares its socket with others.
  setNoDelay(on: boolean): void {
    if (!this.isStream) this.#command(OUT.SOCKET, on ? 1 : 0)
  }

  setKeepAlive(on: boolean, seconds: number): void {
    if (!this.isStream) this.#command(OUT.SOCKET, on ? 3 : 2, seconds)
  }

  #command(kind: number, flags = 0, value = 0): void {
    if (!this.closed) this.#ring.command(kind, this.id, flags, value)
  }
}
