/**
 * The fields of a `ServerSocket`, which `socket.ts` creates, and the symbols that only the socket's
 * own code uses.
 */
import type { Server } from 'node:http'
import type net from 'node:net'
import type { Connection } from '../../engine/exchange.ts'
import type { NodeRequest, NodeResponse } from './internals.ts'
import type { LazyStream } from './lazy-stream.ts'
import type { RawResponse } from './raw-response.ts'
import type { ShownParser } from './shown-parser.ts'
import type {
  AttachedPair,
  kConnection,
  kInputRefused,
  kLastResponseGiven,
  kMessagePair,
  kRequestCount,
  kShownEncrypted,
  kTunnel,
} from './symbols.ts'
import type { SocketTunnel } from './tunnel.ts'

/** The `SocketOwner` of a socket. */
export const kOwner: unique symbol = Symbol('monoceros.owner')
/**
 * The engine has closed the connection, or has responded to a refusal and closes it: nothing is
 * passed to it.
 */
export const kConnectionClosed: unique symbol = Symbol('monoceros.connectionClosed')
/** The response that the application writes to the socket itself, if it does. */
export const kRawResponse: unique symbol = Symbol('monoceros.rawResponse')
/** The application has ended the socket before the response in flight. */
export const kEndedBeforeResponse: unique symbol = Symbol('monoceros.endedBeforeResponse')
/** The connection is to be closed by a reset. */
export const kResetsOnClose: unique symbol = Symbol('monoceros.resetsOnClose')
/** TCP_NODELAY, as last set on the connection. */
export const kNoDelay: unique symbol = Symbol('monoceros.noDelay')
/** The delay of the first keep-alive probe, as last set on the connection; -1 is off. */
export const kKeepAliveSeconds: unique symbol = Symbol('monoceros.keepAliveSeconds')

/** The parser that the socket shows, once the program has looked at it. */
export const kParser: unique symbol = Symbol('monoceros.parser')

/** The last request, if its response is complete and the request has not emitted 'end'. */
export const kUnendedRequest: unique symbol = Symbol('monoceros.unendedRequest')

/** The socket's timeout is that of the time between two requests. */
export const kHasIdleTimeout: unique symbol = Symbol('monoceros.hasIdleTimeout')

export interface ServerSocket extends net.Socket, LazyStream {
  readonly [kConnection]: Connection
  readonly [kOwner]: SocketOwner
  server: Server
  /** The request in flight and its response. */
  [kMessagePair]: AttachedPair | undefined
  [kRequestCount]: number
  [kShownEncrypted]: boolean
  [kLastResponseGiven]: boolean
  [kInputRefused]: boolean
  [kTunnel]: SocketTunnel | undefined
  [kConnectionClosed]: boolean
  [kRawResponse]: RawResponse | undefined
  [kEndedBeforeResponse]: boolean
  [kResetsOnClose]: boolean
  [kNoDelay]: boolean
  [kKeepAliveSeconds]: number
  [kHasIdleTimeout]: boolean
  [kParser]: ShownParser | undefined
  [kUnendedRequest]: NodeRequest | undefined
  _httpMessage: NodeResponse | null
  _hadError: boolean
  readonly _writableState: { readonly length: number; readonly ending: boolean }
  _unrefTimer(): void
}

/** What creates sockets and keeps account of them: a `ServedServer`. */
export interface SocketOwner {
  readonly server: Server
  /** The high-water mark of its sockets, in bytes. */
  readonly highWaterMark: number
  /** The socket has been destroyed, by the application or by the engine. */
  onSocketDestroyed(socket: ServerSocket): void
  /** The client has ended its side of an upgraded socket that the application does not read. */
  onUnreadEnd(socket: ServerSocket): void
  /** The application has called `ref` or `unref` on the socket. */
  onSocketRef(socket: ServerSocket, isRef: boolean): void
}

export function isServerSocket(socket: unknown): socket is ServerSocket {
  return typeof socket === 'object' && socket !== null && kOwner in socket
}

/** The socket that `ServedServer.createSocket` has attached to a connection. */
export function socketOf({ attachment }: Connection): ServerSocket | undefined {
  // The engine lets each kind of application attach its own type, and so declares it unknown.
  return attachment as ServerSocket | undefined
}
