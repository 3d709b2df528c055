/**
 * How methods of node's prototypes tell our requests and responses from others, and where a socket keeps what we know of
 * its connection. All are symbols: every other name of these objects is the program's to use.
 */
import type { Exchange } from '../../engine/exchange.ts'
import type { NodeRequest } from './internals.ts'

/** Where a request, a response and a socket keep their call. A property, so that wrappers made by Object.create reach it. */
export const kCall: unique symbol = Symbol('monoceros.call')

export const kConnection: unique symbol = Symbol('monoceros.connection')
export const kTunnel: unique symbol = Symbol('monoceros.tunnel')
export const kRequests: unique symbol = Symbol('monoceros.requests')
export const kSecured: unique symbol = Symbol('monoceros.secured')
export const kLast: unique symbol = Symbol('monoceros.last')
export const kRefused: unique symbol = Symbol('monoceros.refused')

/** What the request and the socket need of their call. */
export interface InHand {
  readonly exchange: Exchange
  readonly req: NodeRequest
  /** The head of the answer has gone to the engine. */
  readonly headSent: boolean
  /** The handler is running. */
  readonly inHandler: boolean
  /** The application wants more of the request's body. */
  read(): void
  finish(): void
  /** The connection has closed before the answer had gone: first the request hears of it, then the response. */
  abortRequest(): void
  abortResponse(): void
}
