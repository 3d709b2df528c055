/** Connections of the native engine, and HTTP/2 streams. */

import type { ByteCounts, Connection, ExchangeHandler } from '../exchange.ts'
import { TlsInfo } from '../tls-info.ts'
import { copyOf, u16 } from './batch-text.ts'
import type { DeferredEnd } from './deferred-end.ts'
import type { NativeExchange } from './exchange.ts'
import { RING_CHUNK_BYTES, type Ring } from './ring.ts'
import {
  CONNECTION_KIND,
  CONNECTION_KIND_AT,
  CONNECTION_LOCAL_LENGTH_AT,
  CONNECTION_LOCAL_PORT_AT,
  CONNECTION_REMOTE_LENGTH_AT,
  CONNECTION_REMOTE_PORT_AT,
  CONNECTION_TEXTS_AT,
  RING_FLAG,
  RING_RECORD,
} from './wire.ts'

type Family = 'IPv4' | 'IPv6' | undefined

/** Address, port and family of a client. */
export type PeerAddress = readonly [string | undefined, number | undefined, Family]

/**
 * What a connection is made from: its record, which begins at `at`, or the connection that a stream
 * belongs to.
 */
type ConnectionSource = { readonly text: string; readonly at: number } | NativeConnection

/**
 * The local address of the previous connection. Most connections have the same: its string is used
 * again.
 */
let lastLocal = ''

/** A connection, or a stream of an HTTP/2 connection. */
export class NativeConnection implements Connection {
  /** The id of the connection; for a stream, the id of its exchange. */
  readonly id: number
  remoteAddress: string | undefined
  remotePort: number | undefined
  remoteFamily: Family
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: Family
  encrypted: boolean
  /** Whether the addresses are those that a proxy sent with the current request. */
  isForwarded = false
  attachment: unknown = undefined
  /** Whether the engine has closed it. The engine uses the id again later. */
  closed = false
  /** The end of the last response, if the engine may not know it yet. */
  deferredEnd: DeferredEnd | undefined = undefined
  #isEnded = false
  /** The byte counts that were last known. */
  #counts: ByteCounts | undefined
  readonly handler: ExchangeHandler
  /** The TLS info of the connection itself; what a proxy reports does not change it. */
  readonly secure: TlsInfo | undefined
  readonly #ring: Ring
  /** The peer of the socket, while the addresses are those that a proxy sent. */
  #socketPeer: PeerAddress | undefined
  /** Bits of CONNECTION_KIND. */
  readonly #kind: number

  constructor(ring: Ring, handler: ExchangeHandler, id: number, from: ConnectionSource) {
    this.#ring = ring
    this.handler = handler
    this.id = id
    if (from instanceof NativeConnection) {
      this.#kind = from.#kind | CONNECTION_KIND.STREAM
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
    this.#kind = text.charCodeAt(at + CONNECTION_KIND_AT)
    const family = this.#kind & CONNECTION_KIND.FAMILY_MASK
    this.encrypted = (this.#kind & CONNECTION_KIND.TLS) !== 0
    const remote = at + CONNECTION_TEXTS_AT
    const local = remote + text.charCodeAt(at + CONNECTION_REMOTE_LENGTH_AT)
    const tls = local + text.charCodeAt(at + CONNECTION_LOCAL_LENGTH_AT)
    this.secure = this.encrypted ? new TlsInfo(text, tls) : undefined
    if (family === 0) return
    this.remoteFamily = family === 4 ? 'IPv4' : 'IPv6'
    this.localFamily = this.remoteFamily
    this.remoteAddress = copyOf(text.slice(remote, local))
    this.remotePort = u16(text, at + CONNECTION_REMOTE_PORT_AT)
    const address = text.slice(local, tls)
    if (address !== lastLocal) lastLocal = copyOf(address)
    this.localAddress = lastLocal
    this.localPort = u16(text, at + CONNECTION_LOCAL_PORT_AT)
  }

  byteCounts(): ByteCounts | undefined {
    if (this.isStream) return undefined
    if (!this.closed) this.#counts = this.#ring.byteCounts(this.id) ?? this.#counts
    return this.#counts
  }

  /** Marks the connection as closed. `counts` are its final byte counts. */
  close(counts: ByteCounts): void {
    this.closed = true
    this.#counts = counts
  }

  /** Whether this is an HTTP/2 stream, which carries one exchange. */
  get isStream(): boolean {
    return (this.#kind & CONNECTION_KIND.STREAM) !== 0
  }

  /** Whether this is an HTTP/2 connection, whose exchanges have streams. */
  get isMultiplexed(): boolean {
    const { HTTP2, STREAM } = CONNECTION_KIND
    return (this.#kind & (HTTP2 | STREAM)) === HTTP2
  }

  /** Creates the stream of an exchange. */
  createStream(exchangeId: number): NativeConnection {
    return new NativeConnection(this.#ring, this.handler, exchangeId, this)
  }

  /**
   * Shows the client of a request, as a proxy sent it. Each request of a connection may have
   * another client.
   */
  showClientOf(exchange: NativeExchange): void {
    const { client, isSecure } = exchange
    this.#socketPeer ??= [this.remoteAddress, this.remotePort, this.remoteFamily]
    this.encrypted = isSecure || (this.#kind & CONNECTION_KIND.TLS) !== 0
    this.isForwarded = isSecure || client !== undefined
    ;[this.remoteAddress, this.remotePort, this.remoteFamily] = client ?? this.#socketPeer
  }

  destroy(): void {
    this.deferredEnd?.send()
    this.#command(this.isStream ? RING_RECORD.RESET : RING_RECORD.ABORT)
  }

  // A stream ends with its response.
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.deferredEnd?.send()
    if (!this.isStream) this.#command(RING_RECORD.CLOSE)
  }

  reset(): void {
    if (this.isStream) return this.destroy()
    this.deferredEnd?.send()
    this.#command(RING_RECORD.ABORT, RING_FLAG.SEND_RESET)
  }

  sendRaw(bytes: Uint8Array, end: boolean): void {
    if (this.closed) return
    for (let at = 0; at < bytes.length; at += RING_CHUNK_BYTES) {
      const chunk = bytes.subarray(at, at + RING_CHUNK_BYTES)
      this.#ring.writeData(RING_RECORD.RAW_RESPONSE, this.id, chunk, true)
    }
    if (end) this.#command(RING_RECORD.RAW_RESPONSE, RING_FLAG.LAST)
  }

  // A stream shares its socket with other streams.
  setNoDelay(on: boolean): void {
    if (!this.isStream) this.#command(RING_RECORD.SOCKET_OPTION, on ? RING_FLAG.ON : 0)
  }

  setKeepAlive(on: boolean, seconds: number): void {
    const flags = RING_FLAG.KEEP_ALIVE | (on ? RING_FLAG.ON : 0)
    if (!this.isStream) this.#command(RING_RECORD.SOCKET_OPTION, flags, seconds)
  }

  #command(kind: number, flags = 0, count = 0): void {
    if (!this.closed) this.#ring.writeCommand(kind, this.id, flags, count)
  }
}
