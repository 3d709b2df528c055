/**
 * Serves an application of style `node` on an engine. Each exchange becomes a real
 * `IncomingMessage` and `ServerResponse`, which the application's server emits as 'request'.
 */
import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Connection, Exchange, ExchangeHandler } from '../../engine/exchange.ts'
import { expectationOf, expectsContinue } from '../../engine/expectation.ts'
import { noteHandlerResult } from '../uncaught-errors.ts'
import { createConstructors, type MessageConstructors } from './constructors.ts'
import { ExpressDetector } from './express.ts'
import { endIdleTimeout } from './idle-timeout.ts'
import { installMethods } from './install.ts'
import type { NodeRequest, NodeResponse, ServerInternals } from './internals.ts'
import {
  capturesRejections,
  kIncomingMessage,
  kOptimizeEmptyRequests,
  kServerResponse,
  kUniqueHeaders,
  originalEmit,
  serverConstructors,
  serverInternals,
} from './internals.ts'
import { MessagePair } from './message-pair.ts'
import { closeSilently, createRequest } from './request.ts'
import type { OurResponse } from './response.ts'
import { prepareServer, ServedServer, type ServeOptions, type ServingEngine } from './server.ts'
import { type ServerSocket, socketOf } from './server-socket.ts'
import { setEncrypted } from './socket.ts'
import { kMessagePair, kRequestCount, kShownEncrypted } from './symbols.ts'

const requestStart = channel('http.server.request.start')

/** Creates the handler for the server of an application that the engine serves. */
export function createNodeHandler(
  server: http.Server,
  options?: ServeOptions,
  engine: ServingEngine | null = null,
): ExchangeHandler {
  installMethods()
  if (options !== undefined) prepareServer(server, options)
  const served = new ServedServer(server)
  served.engine = engine ?? undefined
  served.maxMessageBytes = options?.maxMessageBytes ?? 0
  return new NodeHandler(served, options?.given.has('keepalive') === true)
}

/** Creates the handler for a server that listens on an address of its own. */
export function createOwnListenerHandler(served: ServedServer): ExchangeHandler {
  served.respondsToRefusals = true
  return new NodeHandler(served, false)
}

const NO_BYTES = Buffer.alloc(0)

class NodeHandler implements ExchangeHandler {
  readonly decidesUpgrades = true
  readonly #server: http.Server
  readonly #internals: ServerInternals
  readonly #served: ServedServer
  readonly #constructors: MessageConstructors
  readonly #express: ExpressDetector<MessageConstructors> | undefined
  readonly #responseOptions: object
  /** The pair whose handler runs, or has thrown. */
  #currentPair: MessagePair | undefined
  /** The server's `keepAliveTimeout` that the engine uses. */
  #keepAliveTimeout: number
  /** Whether the operator gave `keepalive`, so that the application cannot change it. */
  readonly #isKeepAliveFixed: boolean
  /** Whether the engine reports refused input, since 'clientError' has a listener. */
  #reportsRefusals = false

  constructor(served: ServedServer, isKeepAliveFixed: boolean) {
    const { server } = served
    this.#server = server
    this.#internals = serverInternals(server)
    this.#served = served
    this.#responseOptions = {
      highWaterMark: served.highWaterMark,
      rejectNonStandardBodyWrites: this.#internals.rejectNonStandardBodyWrites ?? false,
    }
    this.#keepAliveTimeout = server.keepAliveTimeout
    this.#isKeepAliveFixed = isKeepAliveFixed
    const own = findCustomConstructors(server)
    this.#constructors = own ?? plainConstructors
    this.#express =
      own === undefined ? new ExpressDetector(server, originalEmit, createConstructors) : undefined
  }

  onServing(): void {
    this.updateRefusalReports()
    // Finds the listeners that the application adds in the lines after `listen()`.
    setImmediate(() => this.updateRefusalReports())
  }

  /**
   * Turns the engine's reports of refused input on or off, when 'clientError' gets its first or
   * loses its last listener.
   */
  updateRefusalReports(): void {
    const isWanted = this.#internals._events.clientError !== undefined
    if (isWanted === this.#reportsRefusals) return
    this.#reportsRefusals = isWanted
    this.#served.engine?.reportRefusals(isWanted)
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
    const socket = socketOf(connection) ?? this.#served.createSocket(connection)
    if (socket === undefined) return
    if (connection.encrypted !== socket[kShownEncrypted]) setEncrypted(socket, connection.encrypted)
    if (exchange.upgrade && this.#tryUpgrade(exchange, socket)) return
    const constructors = this.#express?.usableConstructors() ?? this.#constructors
    const req = createRequest(constructors.Request, socket, exchange)
    const internals = this.#internals
    if (internals.joinDuplicateHeaders) req.joinDuplicateHeaders = true
    if (internals[kOptimizeEmptyRequests] === true) closeEmptyRequest(req)
    const res: OurResponse = new constructors.Response(req, this.#responseOptions)
    const pair = new MessagePair(exchange, socket, req, res)
    exchange.owner = pair
    req[kMessagePair] = pair
    res[kMessagePair] = pair
    this.#initPair(pair)
    if (requestStart.hasSubscribers) {
      requestStart.publish({ request: req, response: res, socket, server: this.#server })
    }
    socket._httpMessage = res
    res.socket = socket
    // A handler that threw has left its pair here; 'finish' may be due for it.
    const before = this.#currentPair
    if (before !== undefined) this.#afterHandler(before)
    this.#currentPair = pair
    if (exchange.expects || internals.maxRequestsPerSocket) this.#emitByRules(pair, req, res)
    else this.#emitRequest(req, res)
    this.#afterHandler(pair)
    this.#currentPair = undefined
  }

  /**
   * Emits 'upgrade' or 'connect' and gives the connection to their listener. Returns false if the
   * request is to be served as an ordinary one.
   */
  #tryUpgrade(exchange: Exchange, socket: ServerSocket): boolean {
    const server = this.#server
    // Not with the prototypes of Express: it gets no such event, and a listener that does may
    // assign `req.query`.
    const req = createRequest(this.#constructors.Request, socket, exchange)
    const event = req.method === 'CONNECT' ? 'connect' : 'upgrade'
    if (event === 'upgrade' && !wantsUpgrade(server, req)) return false
    if (server.listenerCount(event) === 0) {
      socket.destroy()
      return true
    }
    socket[kMessagePair]?.finish()
    const ahead = this.#served.upgradeSocket(socket, exchange, req.headers.upgrade)
    req.upgrade = true
    req.complete = true
    req.push(null)
    server.emit(event, req, socket, ahead ?? NO_BYTES)
    return true
  }

  onStop(): void {
    this.#served.destroyUpgradedSockets()
  }

  /**
   * Makes the pair the socket's current one, and sets the fields that node sets from the server and
   * the connection.
   */
  #initPair(pair: MessagePair): void {
    const { exchange, socket, res } = pair
    const server = this.#server
    socket[kMessagePair]?.finish()
    socket[kMessagePair] = pair
    socket[kRequestCount]++
    this.updateRefusalReports()
    if (socket.timeout) endIdleTimeout(socket)
    else if (server.timeout > 0) socket.setTimeout(server.timeout)
    if (server.keepAliveTimeout !== this.#keepAliveTimeout) this.#applyKeepAlive()
    res._keepAliveTimeout = this.#keepAliveTimeout
    res._maxRequestsPerSocket = server.maxRequestsPerSocket ?? 0
    res.shouldKeepAlive = exchange.keepAlive
    const unique = this.#internals[kUniqueHeaders]
    if (unique !== null) res[kUniqueHeaders] = unique
  }

  /** Applies a `keepAliveTimeout` that the application has changed, or restores the operator's. */
  #applyKeepAlive(): void {
    if (this.#isKeepAliveFixed) {
      this.#server.keepAliveTimeout = this.#keepAliveTimeout
      return
    }
    this.#keepAliveTimeout = this.#server.keepAliveTimeout
    this.#served.engine?.onLimitsChanged()
  }

  /** Emits 'request', and notes the result of its only listener. */
  #emitRequest(req: NodeRequest, res: NodeResponse): void {
    const server = this.#server
    const listener = this.#internals._events.request
    // A single listener, and an `emit` that is node's: it is called as `emit` would, and its result
    // is available.
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

  /**
   * Does what node's parser does after the handler has returned. Emits 'finish' if the response is
   * complete.
   */
  #afterHandler(pair: MessagePair): void {
    pair.isInHandler = false
    if (pair.exchange.bodyKind !== 2) pair.req.complete = true
    if (pair.finishesOnReturn) pair.finish()
  }

  /**
   * Emits the event that node would emit, by its rules for `maxRequestsPerSocket` and the Expect
   * field.
   */
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

/**
 * Closes a request that has neither Content-Length nor Transfer-Encoding. With
 * `optimizeEmptyRequests` node does not emit 'end' and 'close' for it.
 */
function closeEmptyRequest(req: NodeRequest): void {
  const { headers } = req
  if ('content-length' in headers || 'transfer-encoding' in headers) return
  closeSilently(req)
  req._consuming = true
}

/**
 * Whether the server takes an upgrade. `shouldUpgradeCallback`, from Node 24, decides for each
 * request. Without it a listener of 'upgrade' takes all.
 */
function wantsUpgrade(server: http.Server, req: NodeRequest): boolean {
  const { shouldUpgradeCallback } = serverInternals(server)
  if (typeof shouldUpgradeCallback !== 'function') return server.listenerCount('upgrade') > 0
  return Boolean(shouldUpgradeCallback.call(server, req))
}

/**
 * Returns the constructors that `createServer` was given as options; undefined if they are node's.
 */
function findCustomConstructors(server: http.Server): MessageConstructors | undefined {
  const { [kIncomingMessage]: Request, [kServerResponse]: Response } = serverInternals(server)
  if (Request === http.IncomingMessage && Response === http.ServerResponse) return undefined
  return serverConstructors(server)
}

const plainConstructors = createConstructors(
  http.IncomingMessage.prototype,
  http.ServerResponse.prototype,
)
