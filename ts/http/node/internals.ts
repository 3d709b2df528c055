/**
 * The parts of node's http and net that have no public name. Every cast to them is here, with what it relies on; all
 * hold on Node 20, 22, 24 and 26.
 */
import { EventEmitter } from 'node:events'
import http from 'node:http'
import net from 'node:net'

/** What a server reaches its descriptor through: node's `TCP` and `Pipe`, or a stand-in. */
export interface ServerHandle {
  listen(backlog: number): number
  close(callback?: () => void): void
  ref(): void
  unref(): void
  hasRef?(): boolean
  /** The descriptor of node's own handles. */
  readonly fd?: number
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

/** `http.Server` with the fields that node's own code keeps on it. */
export interface ServerInternals {
  _handle: ServerHandle | null
  _connections: number
  _events: Record<string | symbol, unknown>
  _emitCloseIfDrained(): void
  _listen2: SetupListen
  readonly maxRequestsPerSocket: number | undefined
  readonly httpAllowHalfOpen: boolean | undefined
  /** Of the sockets of its connections. */
  readonly highWaterMark: number
  readonly shouldUpgradeCallback: ((req: http.IncomingMessage) => unknown) | undefined
  readonly joinDuplicateHeaders: boolean | undefined
  readonly rejectNonStandardBodyWrites: boolean | undefined
  readonly maxHeaderSize: number | undefined
  readonly insecureHTTPParser: boolean | undefined
  readonly httpValidation: string | undefined
  readonly requireHostHeader: boolean | undefined
  readonly keepAliveTimeoutBuffer: number | undefined
  readonly [field: symbol]: unknown
}

/** `net.Socket` with the fields that node's http code keeps on it. */
export interface SocketInternals {
  _httpMessage: (http.ServerResponse & ResponseInternals) | null
  _server: net.Server | null
  /** What TLS is spoken over. */
  _parent: net.Socket | null
  server: net.Server | null
  _unrefTimer(): void
}

/** `http.IncomingMessage` with the fields that its methods and the parser share. */
export interface RequestInternals {
  _events: Record<string | symbol, unknown>
  _eventsCount: number
  _consuming: boolean
  _dumped: boolean
  _readableState: ReadableState
  joinDuplicateHeaders: boolean | undefined
  upgrade: boolean | null
  _addHeaderLines(lines: string[], count: number): void
  _dump(): void
  _read(size: number): void
}

/** The flags of a readable stream; plain fields or accessors over a bit field, by version. */
export interface ReadableState {
  /** A linked list before Node 22, an array from there on. */
  buffer: { push(piece: Buffer): unknown }
  length: number
  flowing: boolean | null
  decoder: unknown
  /** `_read` is at work and has pushed nothing yet. */
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

/** `http.ServerResponse` with the fields that its methods share. */
export interface ResponseInternals {
  _eventsCount: number
  _header: string | null
  _headerSent: boolean
  _hasBody: boolean
  _last: boolean
  _closed: boolean
  _trailer: string
  _sent100: boolean
  _expect_continue: boolean
  _keepAliveTimeout: number
  _maxRequestsPerSocket: number
  maxRequestsOnConnectionReached: boolean
  _contentLength: number | null
  _removedConnection: boolean
  _removedContLen: boolean
  _removedTE: boolean
  finished: boolean
  destroyed: boolean
  _finish(): void
  uncork(): void
  _implicitHeader(): void
  _storeHeader(firstLine: string, headers: unknown): void
  _send(data: Body, encoding?: Encoding, callback?: WriteCallback, byteLength?: number): boolean
  _writeRaw(data: Body, encoding?: Encoding, callback?: WriteCallback): boolean
  [field: symbol]: unknown
}

export type Body = string | Uint8Array
export type Encoding = BufferEncoding | null | undefined
export type WriteCallback = ((error?: Error | null) => void) | null | undefined

export type NodeRequest = http.IncomingMessage & RequestInternals
export type NodeResponse = Omit<http.ServerResponse, keyof ResponseInternals> &
  ResponseInternals & { socket: net.Socket | null }

export function serverInternals(server: net.Server): ServerInternals {
  return server as unknown as ServerInternals
}

export function socketInternals(socket: net.Socket): SocketInternals {
  return socket as unknown as SocketInternals
}

export function responseInternals(response: http.ServerResponse): NodeResponse {
  return response as unknown as NodeResponse
}

/** The symbol under which node keeps a private field; a symbol that no object has where this version has no such. */
function findSymbol(object: object, description: string): symbol {
  const found = Object.getOwnPropertySymbols(object).find((it) => it.description === description)
  return found ?? Symbol(description)
}

const someServer = new http.Server()
const someResponse = new http.ServerResponse(new http.IncomingMessage(new net.Socket()))

/** Where a server keeps the constructors that `createServer` was given as options. */
export const kIncomingMessage = findSymbol(someServer, 'IncomingMessage')
export const kServerResponse = findSymbol(someServer, 'ServerResponse')

/** The fields that the option `uniqueHeaders` names; on the server, and node copies it to each response. */
export const kUniqueHeaders = findSymbol(someServer, 'kUniqueHeaders')

/** Whether requests without a field of a body begin with one that has been read; from Node 24. */
export const kOptimizeEmptyRequests = findSymbol(someServer, 'OptimizeEmptyRequestsOption')

/** The fields set so far, `{ [lower-cased name]: [name, value] }`, or null. */
export const kOutHeaders = findSymbol(someResponse, 'kOutHeaders')

/** Whether a write returned false and nobody has heard 'drain' since. */
export const kNeedDrain = findSymbol(someResponse, 'kNeedDrain')

/** How often `cork` was called without its `uncork`; from Node 26 every `write` corks until the next tick. */
export const kCorked = findSymbol(someResponse, 'corked')

/** What `writableFinished` says, from Node 24. */
export const kWritableFinished = findSymbol(someResponse, 'kWritableFinished')

/** The callbacks of `end`, from Node 24; before that they are listeners of 'finish'. */
export const kEndCallbacks = findSymbol(someResponse, 'kEndCallbacks')

/** They come before 'finish', and each once. */
export function runEndCallbacks(response: NodeResponse): void {
  const callbacks = response[kEndCallbacks] as ((error: null) => void)[] | null
  response[kEndCallbacks] = null
  for (const callback of callbacks ?? []) callback(null)
}

const kDetachAbortSignal = findSymbol(http.IncomingMessage.prototype, 'kDetachAbortSignal')

/** Ends the tie of `req.signal` to its connection, which is there from Node 24. */
export function detachSignal(request: NodeRequest): void {
  ;(request as unknown as Record<symbol, (() => void) | undefined>)[kDetachAbortSignal]?.()
}

/** Whether an emitter began with an object of listeners that was there already. */
export const kShapeMode = findSymbol(new EventEmitter(), 'shapeMode')

const kCapture = findSymbol(new EventEmitter(), 'kCapture')

/** Whether an emitter handles the rejections of its listeners itself (`captureRejections`). */
export function capturesRejections(emitter: EventEmitter): boolean {
  return Boolean((emitter as unknown as Record<symbol, unknown>)[kCapture])
}

/** What every http server has as its first 'connection' listener: node's own parser. */
export const connectionListener = someServer.listeners('connection')[0] as (
  this: net.Server,
  socket: net.Socket,
) => void

/** Whether it is a server of node:https, told without loading that: its parser listens behind the handshake. */
export function isHttpsServer(server: unknown): server is http.Server {
  return (
    server instanceof net.Server &&
    !(server instanceof http.Server) &&
    server.listeners('secureConnection').includes(connectionListener)
  )
}

/** What a server emits with each of its sockets. */
export function connectionEvent(server: net.Server): 'connection' | 'secureConnection' {
  return isHttpsServer(server) ? 'secureConnection' : 'connection'
}

/** `setupListenHandle`, which every way to listen calls as the property `_listen2`. */
export const setupListenHandle: SetupListen = serverInternals(
  net.Server.prototype as unknown as net.Server,
)._listen2

/** The `emit` that nobody has replaced yet. */
export const originalEmit = EventEmitter.prototype.emit

/** The major version of the running Node. */
export const nodeMajor = Number(process.versions.node.split('.')[0])

/** Binds without accepting, as node:cluster does, or takes a descriptor; a number is a negative errno. */
export function createServerHandle(
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd?: number,
  flags?: number,
): ServerHandle | number {
  const create = (net as unknown as { _createServerHandle: CreateServerHandle })._createServerHandle
  return create(address, port, addressType, fd, flags)
}

type CreateServerHandle = (
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd: number | undefined,
  flags: number | undefined,
) => ServerHandle | number
