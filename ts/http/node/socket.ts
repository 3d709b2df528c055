/**
 * The connection as applications see it: one object for all requests of a connection, which node's code and the
 * packages round it take for a `net.Socket`. The bytes go past it, by the exchanges.
 *
 * Thousands of connections wait at any time, and few applications touch their sockets: what makes one a stream and an
 * emitter, ten times the rest, is made when somebody first asks for it.
 */
import net from 'node:net'
import { Duplex } from 'node:stream'
import type { Connection } from '../../engine/exchange.ts'
import { encodingNotAllowed } from './errors.ts'
import type { NodeResponse } from './internals.ts'
import { accessorDefiner, defineLazyStream, markDestroyed } from './lazy-stream.ts'
import { RawResponse } from './raw-response.ts'
import { createSecureConstructor } from './secure-socket.ts'
import { deferUntilResponseSent, isEndDeferred } from './socket-end.ts'
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
  type AttachedPair,
  kConnection,
  kInputRefused,
  kLastResponseGiven,
  kMessagePair,
  kRequestCount,
  kShownEncrypted,
  kTunnel,
} from './symbols.ts'
import type { SocketTunnel, StreamChunk } from './tunnel.ts'

export interface ServerSocket extends net.Socket {
  readonly [kConnection]: Connection
  server: net.Server
  /** The exchange that is not yet answered. */
  [kMessagePair]: AttachedPair | undefined
  /** Requests so far. */
  [kRequestCount]: number
  /** It shows itself as encrypted. */
  [kShownEncrypted]: boolean
  /** The answer that ends the connection has been given. */
  [kLastResponseGiven]: boolean
  /** What came last has been refused, and the program told. */
  [kInputRefused]: boolean
  /** The bytes, once the application has taken the connection over. */
  [kTunnel]: SocketTunnel | undefined
  _httpMessage: NodeResponse | null
  _hadError: boolean
  _unrefTimer(): void
}

interface SocketOwner {
  readonly server: net.Server
  /** Bytes that a stream of its connections holds. */
  readonly highWaterMark: number
  /** The socket is destroyed, from whichever side; its exchange hears of it with 'close'. */
  onSocketDestroyed(socket: ServerSocket): void
  /** The program says whether the connection keeps the process alive. */
  onSocketRef(socket: ServerSocket, isHeld: boolean): void
}

/** 'close' is emitted by `_destroy`, as in node, to tell whether there was an error. */
const STREAM_OPTIONS = { allowHalfOpen: true, autoDestroy: true, emitClose: false }

const kOwner = Symbol('monoceros.owner')
const kConnectionClosed = Symbol('monoceros.connectionClosed')
const kRawResponse = Symbol('monoceros.rawResponse')
const kResetsOnClose = Symbol('monoceros.resetsOnClose')
const kNoDelay = Symbol('monoceros.noDelay')
const kKeepAliveSeconds = Symbol('monoceros.keepAliveSeconds')
const kIsStream = Symbol('monoceros.isStream')
const kDestroyedEarly = Symbol('monoceros.destroyedEarly')

interface SocketFields {
  [kOwner]: SocketOwner
  [kConnection]: Connection
  [kConnectionClosed]: boolean
  [kRawResponse]: RawResponse | undefined
  /** The client is to get a reset. */
  [kResetsOnClose]: boolean
  /** What the kernel's socket has been told last: seconds, or -1 for off. */
  [kNoDelay]: boolean
  [kKeepAliveSeconds]: number
  /** It has the state of a stream and an emitter. */
  [kIsStream]: boolean
  /** It has been destroyed without that. */
  [kDestroyedEarly]: boolean
  server: net.Server
  connecting: boolean
  allowHalfOpen: boolean
  _parent: null
  _handle: null
  _hadError: boolean
  _httpMessage: NodeResponse | null
  readonly _writableState: { readonly length: number; readonly ending: boolean }
}

type ThisSocket = ServerSocket & SocketFields

// A function and not a class, so that node's socket constructor, which would set up a descriptor, is left out while
// `instanceof net.Socket` and its timer methods hold. What most connections never change is on the prototype.
function Socket(this: ThisSocket, owner: SocketOwner, connection: Connection) {
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

const defineAccessor = accessorDefiner<ThisSocket>(Socket.prototype)
defineLazyStream(defineAccessor, { kInstance: kConnection, kIsStream, kDestroyedEarly, initStream })

/** The server's 'connection' listeners have not all seen it. */
let announcing: ServerSocket | undefined

type SocketConstructor = new (owner: SocketOwner, connection: Connection) => ServerSocket

/** The socket of a connection, which is announced next. */
export function createSocket(owner: SocketOwner, connection: Connection): ServerSocket {
  if (connection.secure !== undefined) secureSocket ??= createSecureConstructor(Socket)
  const chosen = connection.secure === undefined ? Socket : secureSocket
  announcing = new (chosen as unknown as SocketConstructor)(owner, connection)
  return announcing
}

/** Made with the first connection that speaks TLS, when all methods are there. */
let secureSocket: object | undefined

/** The server's 'connection' listeners have seen the socket: what they listen to comes before the response's end. */
export function noteAnnounced(socket: ServerSocket): void {
  announcing = undefined
  if ((socket as ThisSocket)[kIsStream]) socket.on('close', abortResponse)
}

function initStream(socket: ThisSocket): void {
  socket[kIsStream] = true
  const { highWaterMark } = socket[kOwner]
  const begin = Duplex as unknown as (this: ThisSocket, options: object) => void
  begin.call(socket, { ...STREAM_OPTIONS, highWaterMark })
  socket.on('timeout', onTimeout)
  socket.on('error', onError)
  socket.on('close', abortRequest)
  if (announcing !== socket) socket.on('close', abortResponse)
  if (socket[kDestroyedEarly]) markDestroyed(socket)
}

/** What a trusted proxy says of the request in hand. Node's sockets without TLS have no such property: it comes and goes. */
export function setEncrypted(socket: ServerSocket, encrypted: boolean): void {
  if (encrypted) Object.assign(socket, { encrypted })
  else Reflect.deleteProperty(socket, 'encrypted')
  socket[kShownEncrypted] = encrypted
}

/** The engine has closed the connection: it needs no telling, and may use the number for the next one already. */
export function onConnectionClosed(socket: ServerSocket): void {
  const own = socket as ThisSocket
  own[kConnectionClosed] = true
  const tunnel = own[kTunnel]
  if (!own[kIsStream] && own[kMessagePair] === undefined) {
    if (own[kDestroyedEarly]) return
    // Nobody listens.
    own[kDestroyedEarly] = true
    return own[kOwner].onSocketDestroyed(socket)
  }
  if (tunnel === undefined) return closeSocket(socket)
  // What has arrived is read to its end, as from a socket of node's; but if nobody does, nobody holds it.
  return tunnel.hasEnded ? own[kOwner].onSocketDestroyed(socket) : void socket.destroy()
}

/**
 * What came last has been refused. Unless the program answers that, the engine has, and ends the connection: nothing that
 * the program does reaches it any more.
 */
export function noteRefusal(socket: ServerSocket, isAnswered: boolean): void {
  ;(socket as ThisSocket)[kConnectionClosed] = isAnswered
  socket[kInputRefused] = true
}

/** The client has gone, or its last answer has; whoever listens hears the ends of both directions first, as in node. */
export function closeSocket(socket: ServerSocket): void {
  if (socket.destroyed) return
  if (socket.listenerCount('end') + socket.listenerCount('finish') === 0 || isEndDeferred(socket)) {
    socket.destroy()
    return
  }
  if (socket[kLastResponseGiven]) {
    socket.destroySoon()
    return
  }
  socket.push(null)
  socket.read(0)
  socket.end()
}

/** The client has gone in the middle of a message, which nobody has heard by 'clientError': the socket tells it, as on node. */
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

/** The application has taken the connection over: from here on its errors and timeouts are its own. */
export function openTunnel(socket: ServerSocket, tunnel: SocketTunnel): void {
  ;(socket as ThisSocket)[kTunnel] = tunnel
  socket.removeListener('timeout', onTimeout)
  socket.removeListener('error', onError)
  socket.removeListener('close', abortRequest)
  socket.removeListener('close', abortResponse)
  // The one listener that a socket of node's has of its own.
  socket.on('end', onReadableStreamEnd).on('newListener', onNewListener)
  // As node leaves it: whoever comes first decides how it is read.
  Object.assign(socket, { readableFlowing: null })
}

export function isServerSocket(socket: unknown): socket is ServerSocket {
  return typeof socket === 'object' && socket !== null && kOwner in socket
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
  // What the I/O thread has been given counts as written until it says that a client does not keep up.
  const exchange = this[kMessagePair]?.exchange
  return exchange?.isFull === true ? exchange.outstanding : 0
})
defineAccessor('pending', () => false)
defineAccessor('writableEnded', function writableEnded() {
  return this[kLastResponseGiven] || this._writableState?.ending === true
})
// Whatever `httpVersion` says to frameworks that speak another language from 2 on.
defineAccessor('alpnProtocol', function alpnProtocol() {
  return this[kConnection].isStream === true ? 'h2' : undefined
})
defineAccessor('bytesRead', function bytesRead() {
  return this[kTunnel]?.bytesRead ?? 0
})
defineAccessor('bytesWritten', function bytesWritten() {
  const tunnel = this[kTunnel]
  return tunnel === undefined ? 0 : tunnel.bytesWritten + this._writableState.length
})

const methods = {
  address(this: ThisSocket): object {
    const { localAddress, localPort, localFamily } = this[kConnection]
    // A socket with a path has no address.
    if (localAddress === undefined) return {}
    return { address: localAddress, port: localPort, family: localFamily }
  },

  setNoDelay(this: ThisSocket, enable: unknown = true): ThisSocket {
    const on = Boolean(enable)
    if (on === this[kNoDelay] || this[kConnectionClosed] || this.destroyed) return this
    this[kNoDelay] = on
    this[kConnection].setNoDelay(on)
    return this
  },
  setKeepAlive(this: ThisSocket, enable: unknown = false, initialDelayMs: unknown = 0): ThisSocket {
    const seconds = enable ? Math.max(0, Math.trunc(Number(initialDelayMs) / 1_000) || 0) : -1
    if (seconds === this[kKeepAliveSeconds] || this[kConnectionClosed] || this.destroyed)
      return this
    this[kKeepAliveSeconds] = seconds
    this[kConnection].setKeepAlive(seconds >= 0, Math.max(0, seconds))
    return this
  },
  ref(this: ThisSocket): ThisSocket {
    this[kOwner].onSocketRef(this, true)
    return this
  },
  unref(this: ThisSocket): ThisSocket {
    this[kOwner].onSocketRef(this, false)
    return this
  },

  // As node: what has been written before still goes.
  resetAndDestroy(this: ThisSocket): ThisSocket {
    this[kResetsOnClose] = true
    // A half-close first, as of `destroySoon`, and the client would have gone before the reset.
    if (this[kTunnel] !== undefined) this.destroy()
    else this.destroySoon()
    return this
  },

  destroySoon(this: ThisSocket): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  },

  setEncoding(): never {
    throw encodingNotAllowed()
  },

  // What arrives belongs to the exchanges, and what a program writes itself takes the place of an answer; until it has
  // taken the connection over.
  _read(this: ThisSocket): void {
    this[kTunnel]?.read()
  },
  _write(this: ThisSocket, chunk: Buffer, encoding: BufferEncoding, callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.write(chunk, encoding, callback)
    const pair = this[kMessagePair]
    if (this[kConnectionClosed]) return callback()
    if (this[kInputRefused]) {
      this[kConnection].answer?.(chunk, false)
    } else if (pair !== undefined) {
      if (this[kRawResponse]?.pair !== pair) this[kRawResponse] = new RawResponse(pair)
      this[kRawResponse].write(chunk)
    }
    callback()
  },
  _writev(this: ThisSocket, chunks: readonly StreamChunk[], callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.writev(chunks, callback)
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), 'latin1', callback)
  },
  _final(this: ThisSocket, callback: () => void): void {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.final(callback)
    if (this[kConnectionClosed]) return callback()
    if (!this[kResetsOnClose] && deferUntilResponseSent(this, () => this._final(callback))) return
    if (this[kInputRefused]) this[kConnection].answer?.(new Uint8Array(), true)
    else if (this[kRawResponse]?.end() !== true) closeConnection(this)
    callback()
  },

  _destroy(this: ThisSocket, error: Error | null, callback: (error: Error | null) => void): void {
    if (error !== null) this._hadError = true
    if (!this[kConnectionClosed] && this[kRawResponse]?.isEnded !== true) closeConnection(this)
    this[kTunnel]?.cancelWrites()
    this[kOwner].onSocketDestroyed(this)
    callback(error)
    // Node says 'close' when the system has closed the descriptor: after all jobs, and after 'error'.
    setImmediate(emitClose, this, error !== null)
  },
}

// What every socket begins with: the engine sets TCP_NODELAY. On the prototype, since hardly any changes it.
Object.assign(Socket.prototype, {
  [kInputRefused]: false,
  [kShownEncrypted]: false,
  [kLastResponseGiven]: false,
  connecting: false,
  allowHalfOpen: true,
  parser: null,
  _parent: null,
  _handle: null,
  _hadError: false,
  [kConnectionClosed]: false,
  [kRawResponse]: undefined,
  [kTunnel]: undefined,
  [kIsStream]: false,
  [kDestroyedEarly]: false,
  [kResetsOnClose]: false,
  [kNoDelay]: true,
  [kKeepAliveSeconds]: -1,
})

for (const [name, value] of Object.entries(methods)) {
  Object.defineProperty(Socket.prototype, name, { value, writable: true, configurable: true })
}

function closeConnection(socket: ThisSocket): void {
  if (socket[kResetsOnClose]) socket[kConnection].reset()
  else if (socket[kMessagePair] === undefined && !socket[kTunnel]) socket[kConnection].end()
  else socket[kConnection].destroy()
}

function emitClose(socket: ThisSocket, hadError: boolean): void {
  socket.emit('close', hadError)
}
