/**
 * Exchanges on node:http, for handlers of the engines' own interface: fetch style and plain
 * exchange handlers.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import http, { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { responseInternals } from '../../http/node/internals.ts'
import type { MountedRequest } from '../../http/node/root-path.ts'
import type { Connection, Exchange, ExchangeHandler, ExchangeOwner, Fields } from '../exchange.ts'
import { CHUNKED, CHUNKED_SILENT, CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../exchange.ts'
import { isSocketView } from './forwarding.ts'

/** Creates a server that passes each request to `handler` as an exchange. */
export function createExchangeServer(handler: ExchangeHandler): http.Server {
  return http.createServer((req, res) => {
    const exchange = new NodeExchange(req, res)
    const basic: BasicExchange = exchange
    handler.onExchange(basic as Exchange)
    exchange.start()
  })
}

let lastConnection = 0
const ASCII_HEAD = /^[\r\n\t -~]*$/
const kConnection = Symbol('monoceros.connection')
const kExchange = Symbol('monoceros.exchange')

type ExchangeRequest = IncomingMessage & { [kExchange]?: NodeExchange }
type ExchangeResponse = ServerResponse & { [kExchange]?: NodeExchange }
type ExchangeSocket = Socket & { [kExchange]?: NodeExchange }

// Shared by all exchanges: a closure for each of them would cost more than the head of the
// response.
function onResponseClose(this: ExchangeResponse): void {
  this[kExchange]?.onClose()
}

function onResponseDrain(this: ExchangeResponse): void {
  this[kExchange]?.owner?.onDrain()
}

function onRequestData(this: ExchangeRequest, chunk: Buffer): void {
  this[kExchange]?.onData(chunk)
}

function onRequestEnd(this: ExchangeRequest): void {
  this[kExchange]?.onEnd()
}

function onSocketClose(this: ExchangeSocket): void {
  this[kExchange]?.onSocketClose()
}

function flushHead(res: ServerResponse): void {
  if (!responseInternals(res)._headerSent) res.flushHeaders()
}

/**
 * Listens to 'error' of a request: 'close' of the response reports that the client has
 * disconnected.
 */
function ignoreError(): void {}

/** A socket of Node.js as the connection of exchanges. */
class NodeConnection implements Connection {
  readonly id = ++lastConnection
  readonly #socket: Socket
  attachment: unknown = undefined
  /** Unused: sockets are Node's own here, and have the TLS info themselves. */
  readonly secure = undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  static of(socket: Socket & { [kConnection]?: NodeConnection }): NodeConnection {
    if (isSocketView(socket)) return new NodeConnection(socket)
    socket[kConnection] ??= new NodeConnection(socket)
    return socket[kConnection]
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return addressFamily(this.#socket.remoteFamily)
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress
  }

  get localPort(): number | undefined {
    return this.#socket.localPort
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return addressFamily(this.#socket.localFamily)
  }

  get encrypted(): boolean {
    return Reflect.get(this.#socket, 'encrypted') === true
  }

  destroy(): void {
    this.#socket.destroy()
  }

  end(): void {
    this.#socket.destroySoon()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  setNoDelay(on: boolean): void {
    this.#socket.setNoDelay(on)
  }

  setKeepAlive(on: boolean, seconds: number): void {
    this.#socket.setKeepAlive(on, seconds * 1_000)
  }
}

function addressFamily(name: string | undefined): 'IPv4' | 'IPv6' | undefined {
  return name === 'IPv4' || name === 'IPv6' ? name : undefined
}

/** An exchange without Expect and upgrades, which Node.js handles here by itself. */
type BasicExchange = Omit<Exchange, 'expects' | 'ahead' | 'tunnel'>

/** A request and response of node:http as an exchange. */
class NodeExchange implements BasicExchange {
  readonly connection: NodeConnection
  owner: ExchangeOwner | undefined
  readonly method: string
  readonly url: string
  readonly rootPath: string
  readonly httpVersionMinor: 0 | 1
  readonly keepAlive: boolean
  readonly upgrade: boolean = false
  readonly bodyKind: 0 | 1 | 2
  readonly body: Buffer | undefined = undefined
  #listensToDrain = false
  /** The owner reads the request's body. */
  #isBodyRead = false
  readonly #req: IncomingMessage
  readonly #res: ServerResponse

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.connection = NodeConnection.of(req.socket)
    this.method = req.method ?? ''
    const { originalUrl, baseUrl }: MountedRequest = req
    this.url = originalUrl ?? req.url ?? ''
    this.rootPath = baseUrl ?? ''
    this.httpVersionMinor = req.httpVersionMinor === 0 ? 0 : 1
    this.keepAlive = res.shouldKeepAlive
    this.bodyKind = hasBody(req.rawHeaders) ? 2 : 0
    this.#req = req
    this.#res = res
  }

  /**
   * Subscribes to the events of request and response; call after the handler could become the
   * owner.
   */
  start(): void {
    const res: ExchangeResponse = this.#res
    const req: ExchangeRequest = this.#req
    // The response is complete and no owner reads the body: Node.js discards it.
    if (this.ended && !this.#isBodyRead) return
    res[kExchange] = this
    res.on('close', onResponseClose)
    if (this.bodyKind === 0) return
    req[kExchange] = this
    req.on('error', ignoreError)
    req.on('data', onRequestData)
    req.on('end', onRequestEnd)
  }

  onClose(): void {
    if (!this.#res.writableFinished) this.owner?.onAborted()
    else if (!this.#isBodyRead) this.#req.off('data', onRequestData).resume()
    else if (!this.#req.complete) this.#watchSocket()
  }

  /**
   * Watches the socket: after its response, a request gets no event any more if the client
   * disconnects.
   */
  #watchSocket(): void {
    const socket: ExchangeSocket = this.#req.socket
    socket[kExchange] = this
    if (socket.destroyed) this.onSocketClose()
    else socket.once('close', onSocketClose)
  }

  onSocketClose(): void {
    if (!this.#req.complete) this.owner?.onAborted()
  }

  onData(chunk: Buffer): void {
    this.#req.pause()
    this.owner?.onData(chunk)
  }

  onEnd(): void {
    this.#req.socket.off('close', onSocketClose)
    this.owner?.onEnd(this.#req.rawTrailers)
  }

  get host(): string | undefined {
    const raw = this.#req.rawHeaders
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]
      if (name?.length === 4 && name.toLowerCase() === 'host') return raw[i + 1]
    }
    return undefined
  }

  rawHeaders(): string[] {
    return this.#req.rawHeaders.slice()
  }

  consume(_bytes: number): void {
    this.#isBodyRead = true
    this.#req.resume()
  }

  sendInterim(status: number, reason: string | undefined, fields: string): void {
    responseInternals(this.#res)._writeRaw(
      `HTTP/1.1 ${status} ${reason ?? STATUS_CODES[status]}\r\n${fields}\r\n`,
      'latin1',
    )
  }

  respond(
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    encoding: BufferEncoding,
  ): void {
    let block = fields
    if (flags & LENGTH) {
      const length = body === undefined ? 0 : Buffer.byteLength(body, encoding)
      // Node.js adds Content-Length only to a response with a body, and only for HTTP/1.1.
      const isMissing = (flags & NO_BODY) !== 0 || this.httpVersionMinor === 0
      if (isMissing) block = [...toFlatFields(fields), 'Content-Length', `${length}`]
      else responseInternals(this.#res)._contentLength = length
    }
    this.#writeHead(status, reason, block, flags)
    // Node.js writes the head and a text body as one string, in the body's encoding. A head that is
    // not ASCII needs latin1, so the body becomes a buffer.
    const { _header: head } = responseInternals(this.#res)
    const isPlain = typeof body !== 'string' || !head || ASCII_HEAD.test(head)
    this.#res.end(isPlain ? (body ?? '') : Buffer.from(body, encoding), encoding)
  }

  /**
   * Flushes the head at the end of the turn: Node.js delays it until the first chunk of the body,
   * which may come late.
   */
  head(status: number, reason: string | undefined, fields: Fields, flags: number): void {
    this.#writeHead(status, reason, fields, flags)
    setImmediate(flushHead, this.#res)
  }

  #writeHead(status: number, reason: string | undefined, fields: Fields, flags: number): void {
    const res = this.#res
    const internals = responseInternals(res)
    res.sendDate = (flags & DATE) !== 0
    if (flags & CLOSE) res.shouldKeepAlive = false
    internals._removedConnection = (flags & CONNECTION) === 0
    internals._removedContLen = (flags & LENGTH) === 0
    internals._removedTE = (flags & (CHUNKED | CHUNKED_SILENT)) === 0
    // One flat array keeps repeated names and their order.
    internals.writeHead(status, reason ?? STATUS_CODES[status] ?? 'unknown', toFlatFields(fields))
  }

  write(chunk: string | Uint8Array, encoding?: BufferEncoding): boolean {
    const res: ExchangeResponse = this.#res
    const room = res.write(chunk, encoding ?? 'utf8')
    if (!room && !this.#listensToDrain) {
      this.#listensToDrain = true
      res[kExchange] = this
      res.on('drain', onResponseDrain)
    }
    return room
  }

  trailers(fields: string): void {
    const flat = toFlatFields(fields)
    const pairs: [string, string][] = []
    for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] ?? '', flat[i + 1] ?? ''])
    this.#res.addTrailers(pairs)
  }

  end(chunk?: string | Uint8Array, encoding?: BufferEncoding): void {
    this.#res.end(chunk, encoding ?? 'utf8')
  }

  reset(): void {
    this.connection.destroy()
  }

  /** True also after a response that bypasses the owner: the 500 for an uncaught error. */
  get ended(): boolean {
    return this.#res.writableEnded
  }

  get unsentBytes(): number {
    return this.#res.writableLength
  }

  get queuedBytes(): number {
    return 0
  }

  get isFull(): boolean {
    return this.#res.writableNeedDrain
  }
}

/**
 * Whether the request has a body. Searches the raw fields: the getter `headers` would build an
 * object for each request.
 */
function hasBody(raw: readonly string[]): boolean {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]?.toLowerCase()
    if (name === 'transfer-encoding') return true
    if (name === 'content-length') return raw[i + 1] !== '0'
  }
  return false
}

let lastFields = ''
let lastFlat: string[] = []

/**
 * Converts `Name: value` lines to Node's flat array. The last result is kept: many responses repeat
 * the same fields.
 */
function toFlatFields(fields: Fields): readonly string[] {
  if (typeof fields !== 'string') return fields
  if (fields === lastFields) return lastFlat
  const flat: string[] = []
  for (let at = 0; at < fields.length; ) {
    const colon = fields.indexOf(': ', at)
    const end = fields.indexOf('\r\n', at)
    flat.push(fields.slice(at, colon), fields.slice(colon + 2, end))
    at = end + 2
  }
  lastFields = fields
  lastFlat = flat
  return flat
}
