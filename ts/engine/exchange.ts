/** An exchange is one request and its response. An engine shows it to its handler. */

import type { ServerScope } from './native/server-scope.ts'
import { HEAD_FLAG } from './native/wire.ts'
import type { TlsInfo } from './tls-info.ts'

/** Flags of a response head: see HEAD_FLAG in `native/wire.ts`. */
export const { DATE, CONNECTION, LENGTH, CHUNKED, CHUNKED_SILENT, CLOSE, NO_BODY, DISCARDS } =
  HEAD_FLAG

/** Numbers of bytes that a connection has received, and been given to send. */
export type ByteCounts = readonly [received: number, written: number]

/** The connection of an exchange; on HTTP/2 the stream of the exchange. */
export interface Connection {
  readonly id: number
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: 'IPv4' | 'IPv6' | undefined
  readonly encrypted: boolean
  /** Whether this is an HTTP/2 stream, which carries one exchange. */
  readonly isStream?: boolean
  /** The TLS info; undefined without TLS, also where a proxy terminates TLS. */
  readonly secure: TlsInfo | undefined
  /** Anything that the handler wants to keep with the connection. */
  attachment: unknown
  /** Returns the byte counts; undefined for an HTTP/2 stream. May wait for the I/O thread. */
  byteCounts?(): ByteCounts | undefined
  /** Aborts the connection. */
  destroy(): void
  /** Closes the connection after the responses that have been written. */
  end(): void
  /** Aborts the connection with a TCP reset. */
  reset(): void
  /**
   * Sends the application's own response to a request that the engine refused; `end` if no more
   * bytes follow.
   */
  sendRaw?(bytes: Uint8Array, end: boolean): void
  setNoDelay(on: boolean): void
  /** Sets `SO_KEEPALIVE`; `seconds` before the first probe, 0 for the system's default. */
  setKeepAlive(on: boolean, seconds: number): void
}

/** Receives the events of an exchange. */
export interface ExchangeOwner {
  /**
   * Whether the application reads the request body, or will: it is not discarded after the
   * response.
   */
  readonly readsBody?: boolean
  /** Whether the head of the response has been passed to the engine. */
  readonly isHeadSent?: boolean
  /** A chunk of the request body has arrived. */
  onData(chunk: Buffer): void
  /** The request body is complete. */
  onEnd(rawTrailers: string[]): void
  /**
   * The jobs of the handler have run, of a request whose whole body arrived with it. Node's parser
   * runs them between the body and its end.
   */
  onWholeBodyEnd?(): void
  /** The engine accepts more after `write` has returned false. */
  onDrain(): void
  /** The client has disconnected. */
  onAborted(): void
  /**
   * The application has thrown an error for this exchange that nothing caught: the client still
   * needs a response.
   */
  onThrown?(): void
}

/**
 * Header fields: `Name: value` lines as one text, or names and values in turn, which costs less to
 * write.
 */
export type Fields = string | readonly string[]

/** One request and its response. */
export interface Exchange {
  readonly connection: Connection
  owner: ExchangeOwner | undefined
  readonly method: string
  readonly url: string
  /** The value of the Host field. */
  readonly host: string | undefined
  readonly httpVersionMinor: 0 | 1
  /** Whether the client can keep the connection. */
  readonly keepAlive: boolean
  /**
   * Whether the request asks for an upgrade, or is CONNECT: the application may take the connection
   * over.
   */
  readonly upgrade: boolean
  /** Whether the request is HTTP/1.1 with an Expect field. */
  readonly expects: boolean
  /** Bytes that have arrived after the head of a request that asks for an upgrade. */
  readonly ahead: Buffer | undefined
  /** The path under which the application is mounted; empty for the root. */
  readonly rootPath: string
  /** One of BODY_KIND in `native/wire.ts`: none, whole or streamed. */
  readonly bodyKind: 0 | 1 | 2
  /** The whole body, if its kind is so. */
  readonly body: Buffer | undefined
  /** Number of response bytes that have been written and, as far as is known here, not sent. */
  readonly unsentBytes: number
  /** Number of these bytes that the engine does not have yet. */
  readonly queuedBytes: number
  /** Whether `write` has returned false and `onDrain` has not been called since. */
  readonly isFull: boolean
  /** Whether the response is complete. */
  ended: boolean
  /** Returns the names and values of the request's fields in turn. */
  rawHeaders(): string[]
  /** Permits the engine to read as many more bytes of the request body. */
  consume(bytes: number): void
  /**
   * Sends an interim (1xx) response. A `reason` of undefined is the default phrase of the status
   * code.
   */
  sendInterim(status: number, reason: string | undefined, fields: string): void
  /** Sends a whole response. */
  respond(
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    encoding: BufferEncoding,
  ): void
  /** Sends the head of a response. */
  head(status: number, reason: string | undefined, fields: Fields, flags: number): void
  /** Sends a part of the body. Returns false if the caller should wait for `onDrain`. */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding): boolean
  /** Adds trailer fields, as lines. */
  trailers(fields: string): void
  /**
   * Completes the response, after `chunk` if there is one. A long chunk is not copied: it must not
   * change before
   * `isFull` is false again.
   */
  end(chunk?: string | Uint8Array, encoding?: BufferEncoding): void
  /** Aborts the response, and with it the stream or connection. */
  reset(): void
  /** Takes the connection over. Only valid during the call of the handler with this exchange. */
  tunnel(): Tunnel
}

/**
 * A connection that the application has taken over: it carries bytes, and its owner receives their
 * events.
 */
export interface Tunnel {
  owner: ExchangeOwner | undefined
  /** Permits the engine to read as many more bytes. */
  consume(bytes: number): void
  /** Sends bytes. Returns false if the caller should wait for `onDrain`. */
  write(chunk: string | Uint8Array, encoding: BufferEncoding): boolean
  /**
   * Half-closes after everything that has been written. Returns true if that is sent; else
   * `onDrain` is called.
   */
  end(): boolean
}

/** Serves the exchanges of one server. */
export interface ExchangeHandler {
  /**
   * Whether the handler decides about Expect and upgrades. For others the engine does what Node
   * does by default.
   */
  readonly decidesUpgrades?: boolean
  /** The async context of its server's `listen()`. The engine sets it. */
  scope?: ServerScope
  onConnection?(connection: Connection): void
  onConnectionClosed?(connection: Connection): void
  /** The engine has registered the server. */
  onServing?(): void
  onExchange(exchange: Exchange): void
  /**
   * The engine has refused a request and sent a response. `kind` is one of REFUSAL_KIND in
   * `native/wire.ts`.
   */
  onRefused?(connection: Connection, kind: number, packet: Buffer): void
  /** The worker stops: connections that the application has taken over are closed. */
  onStop?(): void
}
