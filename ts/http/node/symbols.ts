/**
 * Symbols for what we keep on node's requests, responses and sockets. Methods on node's prototypes
 * recognize our objects by them. Every other property name of these objects belongs to the
 * application.
 */
import type { Exchange } from '../../engine/exchange.ts'
import type { NodeRequest } from './internals.ts'

/**
 * The `MessagePair` of a request, a response or a socket. It is a property, so that wrappers made
 * by `Object.create` inherit it.
 */
export const kMessagePair: unique symbol = Symbol('monoceros.messagePair')

/** The engine's connection of a socket. */
export const kConnection: unique symbol = Symbol('monoceros.connection')
/** The `SocketTunnel` of a socket, after an upgrade or CONNECT. */
export const kTunnel: unique symbol = Symbol('monoceros.tunnel')
/** The number of requests on a socket so far. */
export const kRequestCount: unique symbol = Symbol('monoceros.requestCount')
/** The socket has the property `encrypted`. */
export const kShownEncrypted: unique symbol = Symbol('monoceros.shownEncrypted')
/** The application has given the response after which the connection closes. */
export const kLastResponseGiven: unique symbol = Symbol('monoceros.lastResponseGiven')
/** The engine has refused the latest input of a socket, and the application has been notified. */
export const kInputRefused: unique symbol = Symbol('monoceros.inputRefused')

/** The part of a `MessagePair` that its request and its socket use. */
export interface AttachedPair {
  readonly exchange: Exchange
  readonly req: NodeRequest
  /** The head of the response has been passed to the engine. */
  readonly isHeadSent: boolean
  /** The application's 'request' listener is running. */
  readonly isInHandler: boolean
  /** Pushes the body that has arrived, or asks the engine for more of it. */
  readBody(): void
  /** Emits 'finish' and detaches the pair from the socket. */
  finish(): void
  /**
   * Destroys the request, since the connection has closed before the response was sent. Comes
   * before `abortResponse`.
   */
  abortRequest(): void
  /**
   * Emits 'close' on the response, since the connection has closed before the response was sent.
   */
  abortResponse(): void
}
