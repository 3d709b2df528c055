/** The exchange: one request and its answer, as the engine shows it to what serves it. */

import type { TlsInfo } from './tls-info.ts'

export const DATE = 1
export const CONNECTION = 2
export const LENGTH = 4
export const CHUNKED = 8
export const CHUNKED_SILENT = 16
export const CLOSE = 32
export const NO_BODY = 64
/** What is left of the request's body will not be read: the native engine sets it. */
export const DISCARDS = 128

export interface Connection {
  readonly id: number
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: 'IPv4' | 'IPv6' | undefined
  readonly encrypted: boolean
  /** It is a stream of HTTP/2, which carries one exchange. */
  readonly isStream?: boolean
  /** What TLS knows of it, if it is spoken here and not by a proxy. */
  readonly secure: TlsInfo | undefined
  attachment: unknown
  destroy(): void
  /** It ends behind the answers that have been given. */
  end(): void
  /** The client gets a reset. */
  reset(): void
  /** What the program says to what was refused, where that is its to say; `end` when nothing follows. */
  answer?(bytes: Uint8Array, end: boolean): void
  setNoDelay(on: boolean): void
  /** `seconds` before the first probe; 0 leaves the system's. */
  setKeepAlive(on: boolean, seconds: number): void
}

export interface ExchangeOwner {
  /** Somebody reads the request's body, or is about to: it is not thrown away when the answer has ended. */
  readonly reads?: boolean
  onData(chunk: Buffer): void
  onEnd(rawTrailers: string[]): void
  onDrain(): void
  onAborted(): void
  /** A handler or one of its jobs has thrown, and nobody took it: the client is to be answered all the same. */
  onThrown?(): void
}

/** The fields of an answer: `Name: value` lines as one text, or names and values in turn, which costs less to write. */
export type Fields = string | readonly string[]

export interface Exchange {
  readonly connection: Connection
  owner: ExchangeOwner | undefined
  readonly method: string
  readonly url: string
  /** The Host field. */
  readonly host: string | undefined
  readonly httpVersionMinor: 0 | 1
  readonly keepAlive: boolean
  /** Asks for an upgrade, or is CONNECT: the connection may be taken over. */
  readonly upgrade: boolean
  /** Has an Expect field, on HTTP/1.1. */
  readonly expects: boolean
  /** What has come behind the head of a request that asks for an upgrade. */
  readonly ahead: Buffer | undefined
  /** The path under which the application is mounted; empty for the root. */
  readonly prefix: string
  readonly bodyKind: 0 | 1 | 2
  readonly body: Buffer | undefined
  /** Bytes of the answer that have been written and, as far as one knows here, not sent. */
  readonly outstanding: number
  /** `write` has said stop, and `onDrain` has not come since: the engine does not hold the whole answer yet. */
  readonly isFull: boolean
  ended: boolean
  rawHeaders(): string[]
  consume(bytes: number): void
  /** A `reason` of undefined is the status code's own phrase. */
  inform(status: number, reason: string | undefined, fields: string): void
  respond(
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    encoding: BufferEncoding,
  ): void
  head(status: number, reason: string | undefined, fields: Fields, flags: number): void
  write(chunk: string | Uint8Array, encoding?: BufferEncoding): boolean
  trailers(fields: string): void
  /**
   * Completes the answer, behind `chunk` if there is one. A long chunk is not copied: it must not change before `isFull` is
   * false again.
   */
  end(chunk?: string | Uint8Array, encoding?: BufferEncoding): void
  reset(): void
  /** Takes the connection over; only while the handler runs that was called with the exchange. */
  tunnel(): Tunnel
}

/** A connection that has left HTTP: its bytes, by credit. `owner` hears of them and of both ends. */
export interface Tunnel {
  owner: ExchangeOwner | undefined
  consume(bytes: number): void
  /** Says false when so much is on its way that `onDrain` is to be waited for. */
  write(chunk: string | Uint8Array, encoding: BufferEncoding): boolean
  /** Half-closes behind what has been written; says true when that has been sent already, and else `onDrain` follows. */
  end(): boolean
}

export interface ExchangeHandler {
  /** It meets Expect and upgrades itself; for others the engine does what node does where nobody listens. */
  readonly decides?: boolean
  onConnection?(connection: Connection): void
  onConnectionClosed?(connection: Connection): void
  /** The engine knows it by its tag. */
  onServing?(): void
  onExchange(exchange: Exchange): void
  /** The engine has refused what came on the connection, and answered; `kind` is a place in `http/node/errors.ts`. */
  onRefused?(connection: Connection, kind: number, packet: Buffer): void
  /** The worker ends: whoever still holds a connection that was taken over hears of its end. */
  onStop?(): void
}
