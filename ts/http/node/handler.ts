/**
 * Node style on an engine: each exchange becomes a real `IncomingMessage` and `ServerResponse`, which the application's
 * server emits as 'request'.
 */
import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Connection, Exchange, ExchangeHandler } from '../../engine/exchange.ts'
import { expectationOf, expectsContinue } from '../../engine/expectation.ts'
import { createConstructors } from './constructors.ts'
import { noteHandlerResult } from './errors.ts'
import type { MessageConstructors, RequestConstructor, ResponseConstructor } from './express.ts'
import { ExpressDetector } from './express.ts'
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
import { MessagePair } from './message-pair.ts'
import { closeSilently, createRequest } from './request.ts'
import type { ServeOptions, ServingEngine } from './server.ts'
import { prepareServer, ServedServer } from './server.ts'
import type { ServerSocket } from './socket.ts'
import { setEncrypted } from './socket.ts'
import { kMessagePair, kRequestCount, kShownEncrypted } from './symbols.ts'

const requestStart = channel('http.server.request.start')

/** Serves a server's 'request' listeners. */
export function createNodeHandler(
  server: http.Server,
  serving?: ServeOptions,
  side: ServingEngine | null = null,
): ExchangeHandler {
  installMethods()
  if (serving !== undefined) prepareServer(server, serving)
  const served = new ServedServer(server)
  served.engine = side ?? undefined
  return new NodeHandler(served, serving?.given.has('keepalive') === true)
}

/** The same for a server that listens on an address of its own. */
export function createOwnListenerHandler(served: ServedServer): ExchangeHandler {
  served.respondsToRefusals = true
  return new NodeHandler(served, false)
}

const NO_BYTES = Buffer.alloc(0)

class NodeHandler implements ExchangeHandler {
  readonly decides = true
  readonly #server: http.Server
  readonly #internals: ServerInternals
  readonly #served: ServedServer
  readonly #constructors: MessageConstructors
  readonly #express: ExpressDetector | undefined
  readonly #responseOptions: object
  #currentPair: MessagePair | undefined
  /** As the engine knows it. */
  #keepAliveTimeout: number
  /** It is the operator's, whatever the program sets. */
  readonly #isKeepAliveFixed: boolean
  /** Somebody listens for 'clientError', and the engine knows. */
  #reportsRefusals = false

  constructor(served: ServedServer, keepsOperators: boolean) {
    const { server } = served
    this.#server = server
    this.#internals = serverInternals(server)
    this.#served = served
    this.#responseOptions = {
      highWaterMark: served.highWaterMark,
      rejectNonStandardBodyWrites: this.#internals.rejectNonStandardBodyWrites ?? false,
    }
    this.#keepAliveTimeout = server.keepAliveTimeout
    this.#isKeepAliveFixed = keepsOperators
    const own = findCustomConstructors(this.#internals)
    this.#constructors = own ?? plainConstructors
    this.#express =
      own === undefined ? new ExpressDetector(server, originalEmit, createConstructors) : undefined
  }

  onServing(): void {
    this.updateRefusalReports()
    // Who listens from the lines behind `listen()` on.
    setImmediate(() => this.updateRefusalReports())
  }

  /** Looks who listens; the engine does not tell of what nobody would hear. */
  updateRefusalReports(): void {
    const heard = this.#internals._events.clientError !== undefined
    if (heard === this.#reportsRefusals) return
    this.#reportsRefusals = heard
    this.#served.engine?.reportRefusals(heard)
  }

  onConnection(connection: Connection): void {
    this.updateRefusalReports()
    this.#served.addConnection(connection)
  }

  onRefused(connection: Connection, kind: number, packet: Buffer): void {
    this.#served.onRefused(connection, kind, packet)
  }

  onConnectionClosed(connection: Connection): void {
    this.#served.onConnectionClosed(connection)
  }

  onExchange(exchange: Exchange): void {
    const { connection } = exchange
    const socket =
      (connection.attachment as ServerSocket | undefined) ?? this.#served.createSocket(connection)
    if (socket === undefined) return
    if (connection.encrypted !== socket[kShownEncrypted]) setEncrypted(socket, connection.encrypted)
    if (exchange.upgrade && this.#tryUpgrade(exchange, socket)) return
    const constructors = this.#express?.usableConstructors() ?? this.#constructors
    const req = createRequest(constructors.Request, socket, exchange)
    const internals = this.#internals
    if (internals.joinDuplicateHeaders) req.joinDuplicateHeaders = true
    if (internals[kOptimizeEmptyRequests] === true) closeEmptyRequest(req)
    const res = new constructors.Response(req, this.#responseOptions) as unknown as NodeResponse
    const pair = new MessagePair(exchange, socket, req, res)
    exchange.owner = pair
    ;(req as { [kMessagePair]?: MessagePair })[kMessagePair] = pair
    ;(res as { [kMessagePair]?: MessagePair })[kMessagePair] = pair
    this.#initPair(exchange, socket, res, pair)
    if (requestStart.hasSubscribers) {
      requestStart.publish({ request: req, response: res, socket, server: this.#server })
    }
    socket._httpMessage = res
    res.socket = socket
    // A handler that threw has left its call here, whose 'finish' may be due.
    const before = this.#currentPair
    if (before !== undefined) this.#afterHandler(before)
    this.#currentPair = pair
    if (exchange.expects || internals.maxRequestsPerSocket) this.#emitByRules(pair, req, res)
    else this.#emitRequest(req, res)
    this.#afterHandler(pair)
    this.#currentPair = undefined
  }

  /** Gives the connection to whoever listens for 'upgrade' or 'connect'; false where the request is an ordinary one. */
  #tryUpgrade(exchange: Exchange, socket: ServerSocket): boolean {
    const server = this.#server
    // Never with the prototypes of Express, which does not hear of it: who does may assign `req.query`.
    const req = createRequest(this.#constructors.Request, socket, exchange)
    const event = req.method === 'CONNECT' ? 'connect' : 'upgrade'
    if (event === 'upgrade' && !wantsUpgrade(server, req)) return false
    if (server.listenerCount(event) === 0) {
      socket.destroy()
      return true
    }
    socket[kMessagePair]?.finish()
    this.#served.upgradeSocket(socket, exchange)
    req.upgrade = true
    req.complete = true
    req.push(null)
    server.emit(event, req, socket, exchange.ahead ?? NO_BYTES)
    return true
  }

  onStop(): void {
    this.#served.destroyUpgradedSockets()
  }

  /** What node copies from the server and the connection to a response. */
  #initPair(exchange: Exchange, socket: ServerSocket, res: NodeResponse, pair: MessagePair): void {
    const server = this.#server
    socket[kMessagePair]?.finish()
    socket[kMessagePair] = pair
    socket[kRequestCount]++
    this.updateRefusalReports()
    if (server.timeout > 0 && !socket.timeout) socket.setTimeout(server.timeout)
    if (server.keepAliveTimeout !== this.#keepAliveTimeout) this.#applyKeepAlive()
    res._keepAliveTimeout = this.#keepAliveTimeout
    res._maxRequestsPerSocket = server.maxRequestsPerSocket ?? 0
    res.shouldKeepAlive = exchange.keepAlive
    const unique = this.#internals[kUniqueHeaders]
    if (unique !== null) res[kUniqueHeaders] = unique
  }

  #applyKeepAlive(): void {
    if (this.#isKeepAliveFixed) {
      this.#server.keepAliveTimeout = this.#keepAliveTimeout
      return
    }
    this.#keepAliveTimeout = this.#server.keepAliveTimeout
    this.#served.engine?.onLimitsChanged()
  }

  #emitRequest(req: NodeRequest, res: NodeResponse): void {
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
    if (result !== undefined) noteHandlerResult(result, res)
  }

  /** The handler has returned: what node's parser does after it, and 'finish' if the answer is complete. */
  #afterHandler(pair: MessagePair): void {
    pair.isInHandler = false
    if (pair.exchange.bodyKind !== 2) pair.req.complete = true
    if (pair.finishesOnReturn) pair.finish()
  }

  /** Node's rules for `maxRequestsPerSocket` and the Expect field. */
  #emitByRules(pair: MessagePair, req: NodeRequest, res: NodeResponse): void {
    const server = this.#server
    const limit = server.maxRequestsPerSocket ?? 0
    if (limit > 0) {
      res.maxRequestsOnConnectionReached = limit <= pair.socket[kRequestCount]
      if (limit < pair.socket[kRequestCount]) {
        server.emit('dropRequest', req, pair.socket)
        res.writeHead(503).end()
        return
      }
    }
    const expected = pair.exchange.expects ? expectationOf(req.rawHeaders) : undefined
    if (expected === undefined) {
      this.#emitRequest(req, res)
    } else if (expectsContinue(expected)) {
      res._expect_continue = true
      if (server.listenerCount('checkContinue') > 0) {
        server.emit('checkContinue', req, res)
      } else {
        res.writeContinue()
        this.#emitRequest(req, res)
      }
    } else if (server.listenerCount('checkExpectation') > 0) {
      server.emit('checkExpectation', req, res)
    } else {
      res.writeHead(417).end()
    }
  }
}

/** As node for servers with `optimizeEmptyRequests`: 'end' and 'close' of a request that names no body never come. */
function closeEmptyRequest(req: NodeRequest): void {
  const { headers } = req
  if ('content-length' in headers || 'transfer-encoding' in headers) return
  closeSilently(req)
  req._consuming = true
}

/** From Node 24 a server may say which; before, and without a word of it, whoever listens wants all. */
function wantsUpgrade(server: http.Server, req: NodeRequest): boolean {
  const { shouldUpgradeCallback } = serverInternals(server)
  if (typeof shouldUpgradeCallback !== 'function') return server.listenerCount('upgrade') > 0
  return Boolean(shouldUpgradeCallback.call(server, req))
}

/** The constructors that `createServer` was given as options. */
function findCustomConstructors(internals: ServerInternals): MessageConstructors | undefined {
  const Request = internals[kIncomingMessage]
  const Response = internals[kServerResponse]
  if (Request === http.IncomingMessage && Response === http.ServerResponse) return undefined
  return { Request: Request as RequestConstructor, Response: Response as ResponseConstructor }
}

const plainConstructors = createConstructors(
  http.IncomingMessage.prototype,
  http.ServerResponse.prototype,
)
