/**
 * The private parts of node's `http`, `net` and `stream` that this folder relies on. Every cast to
 * them is in this file. All of them exist on Node 20, 22, 24 and 26, unless a comment names a
 * version.
 */
import { EventEmitter } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { Duplex } from 'node:stream'

/** The handle of a listening server: node's `TCP` and `Pipe`, or a `FakeHandle`. */
export interface ServerHandle {
  /** Starts to accept; returns 0 or a negative errno. */
  listen(backlog: number): number
  close(callback?: () => void): void
  ref(): void
  unref(): void
  hasRef?(): boolean
  /** The file descriptor; only node's own handles have one. */
  readonly fd?: number
  /** Writes the bound address to `out`; returns 0 or a negative errno. */
  getsockname(out: { address?: string; family?: string; port?: number }): number
}

type SetupListen = (
  this: http.Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number | undefined,
  fd: number | undefined,
  flags: number | undefined,
) => void

/** The private fields of `http.Server` and `net.Server`. */
export interface ServerInternals {
  _handle: ServerHandle | null
  /** The number of open connections. */
  _connections: number
  _events: Record<string | symbol, unknown>
  /** Emits 'close' if the server has no handle and no connection left. */
  _emitCloseIfDrained(): void
  _listen2: SetupListen
  readonly maxRequestsPerSocket: number | undefined
  readonly httpAllowHalfOpen: boolean | undefined
  /** The high-water mark of the server's sockets, in bytes. */
  readonly highWaterMark: number
  readonly shouldUpgradeCallback: ((req: http.IncomingMessage) => unknown) | undefined
  readonly joinDuplicateHeaders: boolean | undefined
  readonly rejectNonStandardBodyWrites: boolean | undefined
  readonly maxHeaderSize: number | undefined
  readonly insecureHTTPParser: boolean | undefined
  readonly httpValidation: string | undefined
  readonly requireHostHeader: boolean | undefined
  readonly keepAliveTimeoutBuffer: number | undefined
  [field: symbol]: unknown
}

/** The private fields of `net.Socket` that node's http code uses. */
export interface SocketInternals {
  /** The response that is being written to the socket. */
  _httpMessage: (http.ServerResponse & ResponseInternals) | null
  _server: net.Server | null
  /** The socket below a TLS socket. */
  _parent: net.Socket | null
  server: net.Server | null
  /** Restarts the timer of `setTimeout`. */
  _unrefTimer(): void
}

/** The fields of `http.IncomingMessage` that its methods and node's parser share. */
export interface RequestInternals {
  _events: Record<string | symbol, unknown>
  _eventsCount: number
  /** The application has begun to read the body. */
  _consuming: boolean
  /** The rest of the body is discarded. */
  _dumped: boolean
  _readableState: ReadableState
  joinDuplicateHeaders: boolean | undefined
  upgrade: boolean | null
  /** Adds header fields or trailers; `lines` has names and values in turn. */
  _addHeaderLines(lines: string[], count: number): void
  _dump(): void
  /** Discards the body and closes the stream without events; from Node 24. */
  _dumpAndCloseReadable(): void
  _read(size: number): void
}

/**
 * The state of a readable stream: plain fields, or accessors over a bit field, depending on the
 * version of Node.
 */
export interface ReadableState {
  /** A linked list before Node 22, an array from Node 22. */
  buffer: { push(chunk: Buffer): unknown }
  length: number
  flowing: boolean | null
  decoder: unknown
  /** `_read` has been called and has pushed nothing yet. */
  reading: boolean
  sync: boolean
  readingMore: boolean
  resumeScheduled: boolean
  readableListening: boolean
  ended: boolean
  endEmitted: boolean
  destroyed: boolean
  closed: boolean
  closeEmitted: boolean
  errored: unknown
  autoDestroy: boolean
}

/** The fields of `http.ServerResponse` that its methods share. */
export interface ResponseInternals {
  _eventsCount: number
  /** The rendered head: status line and header fields; null until it is decided. */
  _header: string | null
  _headerSent: boolean
  _hasBody: boolean
  /** The connection closes after this response. */
  _last: boolean
  _closed: boolean
  /** The rendered trailers. */
  _trailer: string
  _sent100: boolean
  _expect_continue: boolean
  _keepAliveTimeout: number
  _maxRequestsPerSocket: number
  maxRequestsOnConnectionReached: boolean
  _contentLength: number | null
  /** The application has removed the Connection field. */
  _removedConnection: boolean
  /** The application has removed the Content-Length field. */
  _removedContLen: boolean
  /** The application has removed the Transfer-Encoding field. */
  _removedTE: boolean
  finished: boolean
  destroyed: boolean
  _finish(): void
  uncork(): void
  _implicitHeader(): void
  _storeHeader(firstLine: string, headers: unknown): void
  _send(data: Body, encoding?: Encoding, callback?: WriteCallback, byteLength?: number): boolean
  _writeRaw(data: Body, encoding?: Encoding, callback?: WriteCallback): boolean
  // These are public, but node checks their arguments only when they are called.
  end(...args: unknown[]): NodeResponse
  writeHead(...args: unknown[]): NodeResponse
  setHeader(name: unknown, value: unknown): NodeResponse
  [field: symbol]: unknown
}

export type Body = string | Uint8Array
export type Encoding = BufferEncoding | null | undefined
export type WriteCallback = ((error?: Error | null) => void) | null | undefined

export type NodeRequest = http.IncomingMessage & RequestInternals
export type NodeResponse = Omit<http.ServerResponse, keyof ResponseInternals> &
  ResponseInternals & { socket: net.Socket | null }

/** Constructs a request with node's fields; node passes the socket. */
export type NodeRequestConstructor = new (socket: unknown) => NodeRequest
export type NodeResponseConstructor = new (request: NodeRequest, options?: object) => NodeResponse

/**
 * Views an object of node as the interface of its private parts, which node's public types leave
 * out. Nothing is checked: the callers below declare what node keeps there.
 */
function view<Internals>(object: unknown): Internals {
  return object as Internals
}

/** A server with its private fields. */
export function serverInternals(server: net.Server): ServerInternals {
  return view(server)
}

/** A socket with the private fields of node's http code. */
export function socketInternals(socket: net.Socket): SocketInternals {
  return view(socket)
}

/** A response with its private fields. */
export function responseInternals(response: http.ServerResponse): NodeResponse {
  return view(response)
}

/** The prototype of requests, with its private methods. */
export const requestPrototype: NodeRequest = view(http.IncomingMessage.prototype)

/** The prototype of responses, with its private methods. */
export const responsePrototype: NodeResponse = view(http.ServerResponse.prototype)

/**
 * Calls node's request constructor on an object that exists; it is a function and no class, on
 * every version.
 */
export const initRequest: (this: object, socket: unknown) => void = view(http.IncomingMessage)

/** Calls node's response constructor on an object that exists. */
export const initResponse: (this: object, request: unknown, options: unknown) => void = view(
  http.ServerResponse,
)

/** Calls the constructor of `Duplex` on an object that exists. */
export const initDuplex: (this: object, options: object) => void = view(Duplex)

/**
 * Returns the symbol of a private field, or a symbol that no object has where this version of Node
 * lacks the field.
 */
function findSymbol(object: object, description: string): symbol {
  const found = Object.getOwnPropertySymbols(object).find((it) => it.description === description)
  return found ?? Symbol(description)
}

const someServer = new http.Server()
const someResponse = new http.ServerResponse(new http.IncomingMessage(new net.Socket()))

/** The server's `IncomingMessage` option: the constructor of its requests. */
export const kIncomingMessage = findSymbol(someServer, 'IncomingMessage')

/** The server's `ServerResponse` option: the constructor of its responses. */
export const kServerResponse = findSymbol(someServer, 'ServerResponse')

/** The constructors that `createServer` was given as options, by default node's own. */
export function serverConstructors(server: net.Server): {
  Request: NodeRequestConstructor
  Response: NodeResponseConstructor
} {
  const internals = serverInternals(server)
  return { Request: view(internals[kIncomingMessage]), Response: view(internals[kServerResponse]) }
}

/** The server's `uniqueHeaders` option, which node copies to each response. */
export const kUniqueHeaders = findSymbol(someServer, 'kUniqueHeaders')

/**
 * The server's `optimizeEmptyRequests` option, from Node 24: a request without a body starts as one
 * already read.
 */
export const kOptimizeEmptyRequests = findSymbol(someServer, 'OptimizeEmptyRequestsOption')

/** Where a response keeps the header fields that have been set. */
export const kOutHeaders = findSymbol(someResponse, 'kOutHeaders')

/** Header fields by their lower-case name. */
export type StoredFields = Record<string, [name: string, value: unknown]>

/** The header fields that have been set; null if none has. */
export function outHeaders(response: NodeResponse): StoredFields | null {
  return view(response[kOutHeaders])
}

/** Whether a write has returned false and 'drain' has not been emitted since. */
export const kNeedDrain = findSymbol(someResponse, 'kNeedDrain')

/**
 * The number of `cork` calls without their `uncork`. From Node 26 every `write` corks until the
 * next tick.
 */
export const kCorked = findSymbol(someResponse, 'corked')

/** The value of `writableFinished`, from Node 24. */
export const kWritableFinished = findSymbol(someResponse, 'kWritableFinished')

/** The callbacks of `end`, from Node 24. Older versions add them as listeners of 'finish'. */
const kEndCallbacks = findSymbol(someResponse, 'kEndCallbacks')

/** Calls the callbacks of `end`, each once. Node calls them before it emits 'finish'. */
export function runEndCallbacks(response: NodeResponse): void {
  const callbacks = view<((error: null) => void)[] | null>(response[kEndCallbacks])
  response[kEndCallbacks] = null
  for (const callback of callbacks ?? []) callback(null)
}

const kDetachAbortSignal = findSymbol(http.IncomingMessage.prototype, 'kDetachAbortSignal')

/**
 * Detaches `req.signal` from its connection, so that a later close does not abort it. The signal is
 * new in Node 24.
 */
export function detachSignal(request: NodeRequest): void {
  view<Record<symbol, (() => void) | undefined>>(request)[kDetachAbortSignal]?.()
}

/** Whether an emitter was created with an object of listeners that existed before. */
export const kShapeMode = findSymbol(new EventEmitter(), 'shapeMode')

const kCapture = findSymbol(new EventEmitter(), 'kCapture')

/** Whether an emitter handles the rejections of its listeners itself (`captureRejections`). */
export function capturesRejections(emitter: EventEmitter): boolean {
  return Boolean(view<Record<symbol, unknown>>(emitter)[kCapture])
}

/**
 * The first 'connection' listener of every http server, which attaches node's parser to a socket.
 */
export const connectionListener: (this: net.Server, socket: net.Socket) => void = view(
  someServer.listeners('connection')[0],
)

/**
 * Whether a value is a server of node:https, without loading that module. Such a server attaches
 * node's http parser after the TLS handshake.
 */
export function isHttpsServer(server: unknown): server is http.Server {
  return (
    server instanceof net.Server &&
    !(server instanceof http.Server) &&
    server.listeners('secureConnection').includes(connectionListener)
  )
}

/** The event that a server emits for each of its sockets. */
export function connectionEvent(server: net.Server): 'connection' | 'secureConnection' {
  return isHttpsServer(server) ? 'secureConnection' : 'connection'
}

/** Node's `setupListenHandle`, which every form of `listen()` calls as the property `_listen2`. */
export const setupListenHandle: SetupListen = serverInternals(net.Server.prototype)._listen2

/** The `emit` of node, taken before an application can replace it. */
export const originalEmit = EventEmitter.prototype.emit

/** The major version of the running Node. */
export const nodeMajor = Number(process.versions.node.split('.')[0])

/** The address of a server handle in the form that node's private code uses. */
export interface HandleAddress {
  /** A host or a path; null for any address. */
  readonly address: string | null
  readonly port: number | null
  /** 4, 6, or -1 for a path. */
  readonly addressType: number | null
  /** A descriptor that is bound already, in place of an address. */
  readonly fd?: number | undefined
  readonly flags?: number | undefined
}

type CreateServerHandle = (
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd: number | undefined,
  flags: number | undefined,
) => ServerHandle | number

/**
 * Binds a handle without accepting, as node:cluster does, or wraps a descriptor. A number is a
 * negative errno.
 */
export function createServerHandle(from: HandleAddress): ServerHandle | number {
  const { _createServerHandle } = view<{ _createServerHandle: CreateServerHandle }>(net)
  return _createServerHandle(from.address, from.port, from.addressType, from.fd, from.flags)
}
