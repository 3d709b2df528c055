/**
 * The socket of a connection: one object for all its requests, which node's code and packages take
 * for a `net.Socket`. The bytes do not pass through it, but through the exchanges.
 *
 * Thousands of connections are idle at any time, and few applications use their sockets. The state
 * of a stream and an emitter is ten times the rest, so it is created when it is first used.
 */
import net from 'node:net'
import type { Connection } from '../../engine/exchange.ts'
import { defineByteCounts } from './byte-counts.ts'
import { toConstructor } from './constructors.ts'
import { encodingNotAllowed } from './errors.ts'
import { initDuplex } from './internals.ts'
import {
  accessorDefiner,
  defineLazyStream,
  kDestroyedEarly,
  kIsStream,
  markDestroyed,
} from './lazy-stream.ts'
import { RawResponse } from './raw-response.ts'
import { createSecureConstructor } from './secure-socket.ts'
import {
  kConnectionClosed,
  kEndedBeforeResponse,
  kHasIdleTimeout,
  kKeepAliveSeconds,
  kNoDelay,
  kOwner,
  kParser,
  kRawResponse,
  kResetsOnClose,
  kUnendedRequest,
  type ServerSocket,
  type SocketOwner,
} from './server-socket.ts'
import { defineParser } from './shown-parser.ts'
import { deferUntilResponseSent, emitClose, isEndDeferred, isResponseOpen } from './socket-end.ts'
import {
  abortRequest,
  abortResponse,
  detachErrorListeners,
  onError,
  onNewListener,
  onReadableStreamEnd,
  onTimeout,
} from './socket-listeners.ts'
import {
  kConnection,
  kInputRefused,
  kLastResponseGiven,
  kMessagePair,
  kRequestCount,
  kShownEncrypted,
  kTunnel,
} from './symbols.ts'
import type { SocketTunnel, StreamChunk } from './tunnel.ts'

/** `_destroy` emits 'close' itself, with the argument `hadError`, as node's `net.Socket` does. */
const STREAM_OPTIONS = { allowHalfOpen: true, autoDestroy: true, emitClose: false }

// A function and no class: node's socket constructor would set up a descriptor. `instanceof
// net.Socket` is true, and the timer methods work. The fields that few connections change are on
// the prototype.
function Socket(
  this: { -readonly [Field in keyof ServerSocket]: ServerSocket[Field] },
  owner: SocketOwner,
  connection: Connection,
) {
  this[kOwner] = owner
  this[kConnection] = connection
  this[kMessagePair] = undefined
  this.server = owner.server
  this[kRequestCount] = 0
  this._httpMessage = null
}

Object.setPrototypeOf(Socket, net.Socket)
Socket.prototype = Object.create(net.Socket.prototype, {
  constructor: { value: net.Socket, writable: true, configurable: true },
})

const defineAccessor = accessorDefiner<ServerSocket>(Socket.prototype)
defineLazyStream(defineAccessor, { kInstance: kConnection, initStream })
defineParser(defineAccessor)
defineByteCounts(defineAccessor)

/** The socket whose 'connection' event has not reached all listeners. */
let announcing: ServerSocket | undefined

type SocketConstructor = new (owner: SocketOwner, connection: Connection) => ServerSocket

const PlainSocket = toConstructor<SocketConstructor>(Socket)

/** Created with the first TLS connection, when the prototype of `Socket` is complete. */
let SecureSocket: SocketConstructor | undefined

/**
 * Creates the socket of a connection. The caller emits 'connection' next, and calls `noteAnnounced`
 * after that.
 */
export function createSocket(owner: SocketOwner, connection: Connection): ServerSocket {
  if (connection.secure === undefined) {
    announcing = new PlainSocket(owner, connection)
  } else {
    SecureSocket ??= toConstructor<SocketConstructor>(createSecureConstructor(Socket))
    announcing = new SecureSocket(owner, connection)
  }
  return announcing
}

/**
 * All 'connection' listeners have run. Their 'close' listeners run before the one that aborts the
 * response.
 */
export function noteAnnounced(socket: ServerSocket): void {
  announcing = undefined
  if (socket[kIsStream]) socket.on('close', abortResponse)
}

function initStream(socket: ServerSocket): void {
  socket[kIsStream] = true
  const { highWaterMark } = socket[kOwner]
  initDuplex.call(socket, { ...STREAM_OPTIONS, highWaterMark })
  socket.on('timeout', onTimeout)
  socket.on('error', onError)
  socket.on('close', abortRequest)
  if (announcing !== socket) socket.on('close', abortResponse)
  if (socket[kDestroyedEarly]) markDestroyed(socket)
}

/**
 * Shows whether the request in flight came over TLS, as a trusted proxy reports it. Node's sockets
 * without TLS have no property `encrypted`, so it is removed where it is not true.
 */
export function setEncrypted(socket: ServerSocket, encrypted: boolean): void {
  if (encrypted) Object.assign(socket, { encrypted })
  else Reflect.deleteProperty(socket, 'encrypted')
  socket[kShownEncrypted] = encrypted
}

/**
 * Handles a connection that the engine has closed. The engine may have given its number to another
 * connection.
 */
export function onConnectionClosed(socket: ServerSocket): void {
  socket[kConnectionClosed] = true
  const tunnel = socket[kTunnel]
  if (!socket[kIsStream] && socket[kMessagePair] === undefined) {
    if (socket[kDestroyedEarly]) return
    // The socket has no listeners, so no event is due.
    socket[kDestroyedEarly] = true
    return socket[kOwner].onSocketDestroyed(socket)
  }
  if (tunnel === undefined) return closeSocket(socket)
  // The application can read what has arrived, as from node's socket. The server does not wait for
  // that.
  return tunnel.hasEnded ? socket[kOwner].onSocketDestroyed(socket) : void socket.destroy()
}

/**
 * Notes that the engine has refused the latest input. If `isResponded`, the engine has sent a
 * response and closes the connection: what the application writes is dropped. Otherwise the
 * application responds.
 */
export function noteRefusal(socket: ServerSocket, isResponded: boolean): void {
  socket[kConnectionClosed] = isResponded
  socket[kInputRefused] = true
}

/**
 * Closes the socket after the client has closed the connection, or after its last response. As in
 * node, the listeners of 'end' and 'finish' are called first.
 */
export function closeSocket(socket: ServerSocket): void {
  if (socket.destroyed) return
  if (socket.listenerCount('end') + socket.listenerCount('finish') === 0 || isEndDeferred(socket)) {
    socket.destroy()
    return
  }
  if (socket[kLastResponseGiven] && !socket[kEndedBeforeResponse]) {
    socket.destroySoon()
    return
  }
  socket.push(null)
  socket.read(0)
  socket.end()
}

/**
 * Destroys the socket with an error: the client has closed the connection within a message, and
 * 'clientError' has no listener. As in node, the socket emits the error.
 */
export function failSocket(socket: ServerSocket, error: Error): void {
  detachErrorListeners(socket)
  if (socket.listenerCount('end') === 0) {
    socket.destroy(error)
    return
  }
  socket.prependOnceListener('end', () => socket.destroy(error))
  socket.push(null)
  socket.read(0)
}

/**
 * Gives the connection to the application, which from now on handles errors and timeouts itself.
 */
export function openTunnel(socket: ServerSocket, tunnel: SocketTunnel): void {
  socket[kTunnel] = tunnel
  socket.removeListener('timeout', onTimeout)
  socket.removeListener('error', onError)
  socket.removeListener('close', abortRequest)
  socket.removeListener('close', abortResponse)
  // Node's sockets have an 'end' listener of their own.
  socket.on('end', onReadableStreamEnd).on('newListener', onNewListener)
  // As in node, the first reader decides whether the stream flows.
  Object.assign(socket, { readableFlowing: null })
}

for (const name of ['readableHighWaterMark', 'writableHighWaterMark']) {
  defineAccessor(name, function highWaterMark() {
    return this[kOwner].highWaterMark
  })
}
for (const side of ['remote', 'local'] as const) {
  for (const fact of ['Address', 'Port', 'Family'] as const) {
    const name = `${side}${fact}` as const
    defineAccessor(name, function sideFact() {
      return this[kConnection][name]
    })
  }
}
defineAccessor('writableLength', function writableLength() {
  if (this[kTunnel] !== undefined) return this._writableState.length
  // Bytes passed to the I/O thread count as written until it reports that the client reads too
  // slowly.
  const exchange = this[kMessagePair]?.exchange
  return exchange?.isFull === true ? exchange.unsentBytes : 0
})
defineAccessor('pending', () => false)
defineAccessor('writableEnded', function writableEnded() {
  return this[kLastResponseGiven] || this._writableState?.ending === true
})
// `httpVersion` stays 1.1 on HTTP/2: frameworks use another API from version 2. This property shows
// the protocol.
defineAccessor('alpnProtocol', function alpnProtocol() {
  return this[kConnection].isStream === true ? 'h2' : undefined
})
const methods = {
  address(this: ServerSocket): object {
    const { localAddress, localPort, localFamily } = this[kConnection]
    // A connection over a unix socket has no address.
    if (localAddress === undefined) return {}
    return { address: localAddress, port: localPort, family: localFamily }
  },

  setNoDelay(this: ServerSocket, enable: unknown = true): ServerSocket {
    const on = Boolean(enable)
    if (on === this[kNoDelay] || this[kConnectionClosed] || this.destroyed) return this
    this[kNoDelay] = on
    this[kConnection].setNoDelay(on)
    return this
  },
  setKeepAlive(
    this: ServerSocket,
    enable: unknown = false,
    initialDelayMs: unknown = 0,
  ): ServerSocket {
    const seconds = enable ? Math.max(0, Math.trunc(Number(initialDelayMs) / 1_000) || 0) : -1
    if (seconds === this[kKeepAliveSeconds] || this[kConnectionClosed] || this.destroyed)
      return this
    this[kKeepAliveSeconds] = seconds
    this[kConnection].setKeepAlive(seconds >= 0, Math.max(0, seconds))
    return this
  },
  ref(this: ServerSocket): ServerSocket {
    this[kOwner].onSocketRef(this, true)
    return this
  },
  unref(this: ServerSocket): ServerSocket {
    this[kOwner].onSocketRef(this, false)
    return this
  },

  // As in node, what was written before is sent first.
  resetAndDestroy(this: ServerSocket): ServerSocket {
    this[kResetsOnClose] = true
    // `destroySoon` would half-close a tunnel first, and the client would close before the reset.
    if (this[kTunnel] !== undefined) this.destroy()
    else this.destroySoon()
    return this
  },

  end(this: ServerSocket, ...end: readonly unknown[]): ServerSocket {
    Reflect.apply(net.Socket.prototype.end, this, end)
    if (this[kRawResponse] === undefined && isResponseOpen(this)) {
      // As in node, nothing of the response is sent from now on.
      this[kEndedBeforeResponse] = true
      this[kMessagePair]?.exchange.reset()
    }
    return this
  },

  destroySoon(this: ServerSocket): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  },

  setEncoding(): never {
    throw encodingNotAllowed()
  },

  // Input belongs to the exchanges. What the application writes is a response in raw form. Both
  // change with a tunnel: then the bytes belong to the application.
  _read(this: ServerSocket): void {
    this[kTunnel]?.read()
  },
  _write(this: ServerSocket, chunk: Buffer, encoding: BufferEncoding, callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.write(chunk, encoding, callback)
    const pair = this[kMessagePair]
    if (this[kConnectionClosed]) return callback()
    if (this[kInputRefused]) {
      this[kConnection].sendRaw?.(chunk, false)
    } else if (pair !== undefined) {
      if (this[kRawResponse]?.pair !== pair) this[kRawResponse] = new RawResponse(pair)
      this[kRawResponse].write(chunk)
    }
    callback()
  },
  _writev(this: ServerSocket, chunks: readonly StreamChunk[], callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.writev(chunks, callback)
    const bytes = chunks.map(({ chunk, encoding }) =>
      typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
    )
    this._write(Buffer.concat(bytes), 'latin1', callback)
  },
  _final(this: ServerSocket, callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.final(callback)
    if (this[kConnectionClosed]) return callback()
    if (!this[kResetsOnClose] && deferUntilResponseSent(this, () => this._final(callback))) return
    if (this[kInputRefused]) this[kConnection].sendRaw?.(new Uint8Array(), true)
    else if (this[kRawResponse]?.end() !== true) closeConnection(this)
    callback()
  },

  _destroy(this: ServerSocket, error: Error | null, callback: (error: Error | null) => void): void {
    if (error !== null) this._hadError = true
    if (!this[kConnectionClosed] && this[kRawResponse]?.isEnded !== true) closeConnection(this)
    this[kTunnel]?.cancelWrites()
    this[kOwner].onSocketDestroyed(this)
    callback(error)
    // Node emits 'close' after the system has closed the descriptor, so after 'error' and all
    // queued jobs.
    setImmediate(emitClose, this, error !== null)
  },
}

// The initial fields of every socket. The engine sets TCP_NODELAY. Few sockets change any, so they
// are on the prototype.
Object.assign(Socket.prototype, {
  [kInputRefused]: false,
  [kShownEncrypted]: false,
  [kLastResponseGiven]: false,
  connecting: false,
  allowHalfOpen: true,
  _parent: null,
  _handle: null,
  _hadError: false,
  [kConnectionClosed]: false,
  [kRawResponse]: undefined,
  [kTunnel]: undefined,
  [kIsStream]: false,
  [kDestroyedEarly]: false,
  [kEndedBeforeResponse]: false,
  [kResetsOnClose]: false,
  [kNoDelay]: true,
  [kKeepAliveSeconds]: -1,
  [kHasIdleTimeout]: false,
  [kParser]: undefined,
  [kUnendedRequest]: undefined,
})

for (const [name, value] of Object.entries(methods)) {
  Object.defineProperty(Socket.prototype, name, { value, writable: true, configurable: true })
}

function closeConnection(socket: ServerSocket): void {
  if (socket[kResetsOnClose]) socket[kConnection].reset()
  else if (socket[kMessagePair] === undefined && !socket[kTunnel]) socket[kConnection].end()
  else socket[kConnection].destroy()
}
