/** How methods of node's prototypes tell our requests and responses from others. */
import type { Exchange } from '../../engine/exchange.ts'
import type { NodeRequest } from './internals.ts'

/** Where a request and a response keep their call. A property, so that wrappers made by Object.create reach it. */
export const kCall: unique symbol = Symbol('monoceros.call')

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
