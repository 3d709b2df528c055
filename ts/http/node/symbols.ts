/**
 * How methods of node's prototypes tell our requests and responses from others, and where a socket keeps what we know of
 * its connection. All are symbols: every other name of these objects is the program's to use.
 */
import type { Exchange } from '../../engine/exchange.ts'
import type { NodeRequest } from './internals.ts'

/** Where a request, a response and a socket keep their call. A property, so that wrappers made by Object.create reach it. */
export const kMessagePair: unique symbol = Symbol('monoceros.messagePair')

export const kConnection: unique symbol = Symbol('monoceros.connection')
export const kTunnel: unique symbol = Symbol('monoceros.tunnel')
export const kRequestCount: unique symbol = Symbol('monoceros.requestCount')
export const kShownEncrypted: unique symbol = Symbol('monoceros.shownEncrypted')
export const kLastResponseGiven: unique symbol = Symbol('monoceros.lastResponseGiven')
export const kInputRefused: unique symbol = Symbol('monoceros.inputRefused')

/** What the request and the socket need of their call. */
export interface AttachedPair {
  readonly exchange: Exchange
  readonly req: NodeRequest
  /** The head of the answer has gone to the engine. */
  readonly isHeadSent: boolean
  /** The handler is running. */
  readonly isInHandler: boolean
  /** The application wants more of the request's body. */
  readBody(): void
  finish(): void
  /** The connection has closed before the answer had gone: first the request hears of it, then the response. */
  abortRequest(): void
  abortResponse(): void
}
