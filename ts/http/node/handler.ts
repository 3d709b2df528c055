/**
 * Node style on an engine: each exchange becomes a real `IncomingMessage` and `ServerResponse`, which the application's
 * server emits as 'request'.
 */
import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Connection, Exchange, ExchangeHandler } from '../../engine/exchange.ts'
import { expectationOf, expectsContinue } from '../../engine/expectation.ts'
import { constructorsOf } from './constructors.ts'
import { noteResult } from './errors.ts'
import type { Prototypes, RequestConstructor, ResponseConstructor } from './express.ts'
import { ExpressWatch } from './express.ts'
import { installMethods } from './install.ts'
import type { NodeRequest, NodeResponse, ServerInternals } from './internals.ts'
import {
  capturesRejections,
  kIncomingMessage,
  kOptimizeEmptyRequests,
  kServerResponse,
  kUniqueHeaders,
  originalEmit,
  serverInternals,
} from './internals.ts'
import { Call } from './message-pair.ts'
import { closeQuietly, createRequest } from './request.ts'
import type { EngineSide, Serving } from './server.ts'
import { prepareServer, ServedServer } from './server.ts'
import type { ServerSocket } from './socket.ts'
import { showEncrypted } from './socket.ts'
import { kCall, kRequests, kSecured } from './symbols.ts'

const requestStart = channel('http.server.request.start')

/** Serves a server's 'request' listeners. */
export function nodeHandler(
  server: http.Server,
  serving?: Serving,
  side: EngineSide | null = null,
): ExchangeHandler {
  installMethods()
  if (serving !== undefined) prepareServer(server, serving)
  const served = new ServedServer(server)
  served.side = side ?? undefined
  return new NodeHandler(served, serving?.given.has('keepalive') === true)
}

/** The same for a server that listens on an address of its own. */
export function ownHandler(served: ServedServer): ExchangeHandler {
  served.answersRefusals = true
  return new NodeHandler(served, false)
}

const NO_BYTES = Buffer.alloc(0)

class NodeHandler implements ExchangeHandler {
  readonly decides = true
  readonly #server: http.Server
  readonly #internals: ServerInternals
  readonly #served: ServedServer
  readonly #constructors: Prototypes
  readonly #express: ExpressWatch | undefined
  readonly #options: object
  #inHand: Call | undefined
  /** As the engine knows it. */
  #keepAliveTimeout: number
  /** It is the operator's, whatever the program sets. */
  readonly #keepsOperators: boolean
  /** Somebody listens for 'clientError', and the engine knows. */
  #hearsRefusals = false

  constructor(served: ServedServer, keepsOperators: boolean) {
    const { server } = served
    this.#server = server
    this.#internals = serverInternals(server)
    this.#served = served
    this.#options = {
      highWaterMark: served.highWaterMark,
      rejectNonStandardBodyWrites: this.#internals.rejectNonStandardBodyWrites ?? false,
    }
    this.#keepAliveTimeout = server.keepAliveTimeout
    this.#keepsOperators = keepsOperators
    const own = ownConstructors(this.#internals)
    this.#constructors = own ?? plain
    this.#express =
      own === undefined ? new ExpressWatch(server, originalEmit, constructorsOf) : undefined
  }

  onServing(): void {
    this.noteListeners()
    // Who listens from the lines behind `listen()` on.
    setImmediate(() => this.noteListeners())
  }

  /** Looks who listens; the engine does not tell of what nobody would hear. */
  noteListeners(): void {
    const heard = this.#internals._events.clientError !== undefined
    if (heard === this.#hearsRefusals) return
    this.#hearsRefusals = heard
    this.#served.side?.tellRefusals(heard)
  }

  onConnection(connection: Connection): void {
    this.noteListeners()
    this.#served.open(connection)
  }

  onRefused(connection: Connection, kind: number, packet: Buffer): void {
    this.#served.refused(connection, kind, packet)
  }

  onConnectionClosed(connection: Connection): void {
    this.#served.closed(connection)
  }

  onExchange(exchange: Exchange): void {
    const { connection } = exchange
    const socket =
      (connection.attachment as ServerSocket | undefined) ?? this.#served.connect(connection)
    if (socket === undefined) return
    if (connection.encrypted !== socket[kSecured]) showEncrypted(socket, connection.encrypted)
    if (exchange.upgrade && this.#upgrade(exchange, socket)) return
    const constructors = this.#express?.current() ?? this.#constructors
    const req = createRequest(constructors.Request, socket, exchange)
    const internals = this.#internals
    if (internals.joinDuplicateHeaders) req.joinDuplicateHeaders = true
    if (internals[kOptimizeEmptyRequests] === true) closeEmpty(req)
    const res = new constructors.Response(req, this.#options) as unknown as NodeResponse
    const call = new Call(exchange, socket, req, res)
    exchange.owner = call
    ;(req as { [kCall]?: Call })[kCall] = call
    ;(res as { [kCall]?: Call })[kCall] = call
    this.#prepare(exchange, socket, res, call)
    if (requestStart.hasSubscribers) {
      requestStart.publish({ request: req, response: res, socket, server: this.#server })
    }
    socket._httpMessage = res
    res.socket = socket
    // A handler that threw has left its call here, whose 'finish' may be due.
    const before = this.#inHand
    if (before !== undefined) this.#leave(before)
    this.#inHand = call
    if (exchange.expects || internals.maxRequestsPerSocket) this.#decideEvent(call, req, res)
    else this.#request(req, res)
    this.#leave(call)
    this.#inHand = undefined
  }

  /** Gives the connection to whoever listens for 'upgrade' or 'connect'; false where the request is an ordinary one. */
  #upgrade(exchange: Exchange, socket: ServerSocket): boolean {
    const server = this.#server
    // Never with the prototypes of Express, which does not hear of it: who does may assign `req.query`.
    const req = createRequest(this.#constructors.Request, socket, exchange)
    const event = req.method === 'CONNECT' ? 'connect' : 'upgrade'
    if (event === 'upgrade' && !wantsUpgrade(server, req)) return false
    if (server.listenerCount(event) === 0) {
      socket.destroy()
      return true
    }
    socket[kCall]?.finish()
    this.#served.upgrade(socket, exchange)
    req.upgrade = true
    req.complete = true
    req.push(null)
    server.emit(event, req, socket, exchange.ahead ?? NO_BYTES)
    return true
  }

  onStop(): void {
    this.#served.destroyUpgraded()
  }

  /** What node copies from the server and the connection to a response. */
  #prepare(exchange: Exchange, socket: ServerSocket, res: NodeResponse, call: Call): void {
    const server = this.#server
    socket[kCall]?.finish()
    socket[kCall] = call
    socket[kRequests]++
    this.noteListeners()
    if (server.timeout > 0 && !socket.timeout) socket.setTimeout(server.timeout)
    if (server.keepAliveTimeout !== this.#keepAliveTimeout) this.#noteLimits()
    res._keepAliveTimeout = this.#keepAliveTimeout
    res._maxRequestsPerSocket = server.maxRequestsPerSocket ?? 0
    res.shouldKeepAlive = exchange.keepAlive
    const unique = this.#internals[kUniqueHeaders]
    if (unique !== null) res[kUniqueHeaders] = unique
  }

  #noteLimits(): void {
    if (this.#keepsOperators) {
      this.#server.keepAliveTimeout = this.#keepAliveTimeout
      return
    }
    this.#keepAliveTimeout = this.#server.keepAliveTimeout
    this.#served.side?.onLimitsChanged()
  }

  #request(req: NodeRequest, res: NodeResponse): void {
    const server = this.#server
    const listener = this.#internals._events.request
    // One listener and nobody in between: called as `emit` would, but with its result in hand.
    if (
      typeof listener !== 'function' ||
      server.emit !== originalEmit ||
      capturesRejections(server)
    ) {
      server.emit('request', req, res)
      return
    }
    const result: unknown = listener.call(server, req, res)
    if (result !== undefined) noteResult(result, res)
  }

  /** The handler has returned: what node's parser does after it, and 'finish' if the answer is complete. */
  #leave(call: Call): void {
    call.inHandler = false
    if (call.exchange.bodyKind !== 2) call.req.complete = true
    if (call.finishesOnReturn) call.finish()
  }

  /** Node's rules for `maxRequestsPerSocket` and the Expect field. */
  #decideEvent(call: Call, req: NodeRequest, res: NodeResponse): void {
    const server = this.#server
    const limit = server.maxRequestsPerSocket ?? 0
    if (limit > 0) {
      res.maxRequestsOnConnectionReached = limit <= call.socket[kRequests]
      if (limit < call.socket[kRequests]) {
        server.emit('dropRequest', req, call.socket)
        res.writeHead(503).end()
        return
      }
    }
    const expected = call.exchange.expects ? expectationOf(req.rawHeaders) : undefined
    if (expected === undefined) {
      this.#request(req, res)
    } else if (expectsContinue(expected)) {
      res._expect_continue = true
      if (server.listenerCount('checkContinue') > 0) {
        server.emit('checkContinue', req, res)
      } else {
        res.writeContinue()
        this.#request(req, res)
      }
    } else if (server.listenerCount('checkExpectation') > 0) {
      server.emit('checkExpectation', req, res)
    } else {
      res.writeHead(417).end()
    }
  }
}

/** As node for servers with `optimizeEmptyRequests`: 'end' and 'close' of a request that names no body never come. */
function closeEmpty(req: NodeRequest): void {
  const { headers } = req
  if ('content-length' in headers || 'transfer-encoding' in headers) return
  closeQuietly(req)
  req._consuming = true
}

/** From Node 24 a server may say which; before, and without a word of it, whoever listens wants all. */
function wantsUpgrade(server: http.Server, req: NodeRequest): boolean {
  const { shouldUpgradeCallback } = serverInternals(server)
  if (typeof shouldUpgradeCallback !== 'function') return server.listenerCount('upgrade') > 0
  return Boolean(shouldUpgradeCallback.call(server, req))
}

/** The constructors that `createServer` was given as options. */
function ownConstructors(internals: ServerInternals): Prototypes | undefined {
  const Request = internals[kIncomingMessage]
  const Response = internals[kServerResponse]
  if (Request === http.IncomingMessage && Response === http.ServerResponse) return undefined
  return { Request: Request as RequestConstructor, Response: Response as ResponseConstructor }
}

const plain = constructorsOf(http.IncomingMessage.prototype, http.ServerResponse.prototype)
