/**
 * Connects node:http's parser with the application: request checks, drain, access log, rejected
 * promises of handlers and Express's prototypes. It replaces the method `emit` of the served server
 * and nothing else.
 */
import http from 'node:http'
import type { Socket } from 'node:net'
import { sendBadRequest } from '../../http/node/bad-request.ts'
import type { RequestConstructor, ResponseConstructor } from '../../http/node/express.ts'
import { ExpressDetector } from '../../http/node/express.ts'
import {
  capturesRejections,
  initRequest,
  initResponse,
  kIncomingMessage,
  kServerResponse,
  type NodeRequestConstructor,
  type NodeResponseConstructor,
  originalEmit,
  responseInternals,
  type ServerInternals,
  serverConstructors,
  serverInternals,
} from '../../http/node/internals.ts'
import {
  enterClient,
  noteHandlerResult,
  noteHandlerReturn,
  noteHandlerStart,
} from '../../http/uncaught-errors.ts'
import { type AccessLog, openAccessLog } from '../../log/access.ts'
import type { EngineOptions } from '../engine.ts'
import { parsePolicyOf } from '../parse-policy.ts'
import { limitWebSocket } from '../websocket-limit.ts'
import { logResponse, logTunnel } from './access-log.ts'
import { ForwardedHeaders } from './forwarding.ts'
import { HealthChecks } from './health.ts'
import { findRefusalStatus, limitResponseTime } from './request-checks.ts'
import { NodeTunnel } from './tunnel.ts'

/** Replaces the `emit` of one server; see the head of this file. */
export class NodeDispatcher {
  /** Number of requests since the start. */
  requestCount = 0
  /** The connections that the application has taken over. */
  readonly tunnels = new Map<Socket, NodeTunnel>()
  readonly health: HealthChecks
  #isDraining = false
  /**
   * The operator has set `limit_requests_per_connection`; a limit of the program is left to
   * Node.js.
   */
  readonly #limitsConnections: boolean
  /**
   * Requests that were checked at 'checkContinue' or 'checkExpectation' and may follow as
   * 'request'.
   */
  #checkedRequests: WeakSet<http.IncomingMessage> | undefined
  readonly #server: http.Server
  readonly #options: EngineOptions
  readonly #accessLog: AccessLog | undefined
  readonly #forwarding: ForwardedHeaders | undefined
  readonly #constructors: ServerConstructors | undefined
  /** The program's own replacement of `emit`, if it has one. */
  readonly #programEmit: http.Server['emit'] | undefined

  constructor(server: http.Server, options: EngineOptions) {
    this.#server = server
    this.#options = options
    this.#limitsConnections = options.given?.has('limit_requests_per_connection') === true
    this.health = new HealthChecks(options.config.health_paths)
    this.#forwarding = new ForwardedHeaders(parsePolicyOf(options.config))
    this.#accessLog = openAccessLog(options.config)
    if (Object.hasOwn(server, 'emit')) this.#programEmit = server.emit
    const dispatcher = this
    // The parameters are those of 'request', nearly the only event.
    function emit(
      this: http.Server,
      name: string,
      req: http.IncomingMessage,
      res: http.ServerResponse,
    ): boolean {
      if (name === 'request') return dispatcher.#emitRequest(req, res)
      // biome-ignore lint/complexity/noArguments: rest parameters cost an array for each request.
      return dispatcher.#emitOther(this, name, arguments)
    }
    // Not enumerable, so that a printed server looks as it does without the engine.
    Object.defineProperty(server, 'emit', { value: emit, writable: true, configurable: true })
    if (this.#programEmit === undefined) this.#constructors = ServerConstructors.find(server, emit)
    this.#constructors?.update(serverInternals(server)._events.request)
  }

  /** Writes the buffered lines of the access log. */
  flush(): void {
    this.#accessLog?.flush()
  }

  reopenLog(): void {
    this.#accessLog?.reopen()
  }

  /** Makes every response from now on the last one of its connection, and closes WebSockets. */
  drain(): void {
    this.#isDraining = true
    this.health.announceStop()
    for (const tunnel of this.tunnels.values()) tunnel.drain()
  }

  /** Emits every event but 'request'. */
  #emitOther(server: http.Server, name: string, args: IArguments): boolean {
    const [, first, second, third] = args
    if (name === 'upgrade' || name === 'connect') {
      if (!this.#acceptUpgrade(first)) return true
      args[3] = this.tunnels.get(second)?.filterHead(third) ?? third
      enterClient(second)
    } else if (name === 'checkContinue' || name === 'checkExpectation') {
      if (this.#isRefused(first, second)) return true
      // The program may emit the request itself.
      this.#checkedRequests ??= new WeakSet()
      this.#checkedRequests.add(first)
    } else if (name === 'clientError' && server.listenerCount(name) === 0) {
      sendBadRequest(first, second)
      return true
    }
    return Reflect.apply(this.#emit, server, args)
  }

  get #emit(): http.Server['emit'] {
    return this.#programEmit ?? http.Server.prototype.emit
  }

  /** Checks an upgrade or CONNECT request; returns false if it has been refused. */
  #acceptUpgrade(req: http.IncomingMessage): boolean {
    const { socket } = req
    this.requestCount++
    // Express has no listener for 'upgrade'. A listener that assigns `req.query` would meet a
    // getter of Express's prototype.
    if (this.#constructors !== undefined) Object.setPrototypeOf(req, http.IncomingMessage.prototype)
    const refusal = this.#forwarding?.apply(req) || findRefusalStatus(req, this.#options.config)
    if (refusal !== 0) {
      socket.end(`HTTP/1.1 ${refusal} ${http.STATUS_CODES[refusal]}\r\nConnection: close\r\n\r\n`)
      return false
    }
    const { websocket_max_message_size = 0 } = this.#options.config
    const limit = limitWebSocket(socket, req.headers.upgrade, websocket_max_message_size)
    const tunnel = new NodeTunnel(socket, limit)
    this.tunnels.set(socket, tunnel)
    socket.once('close', () => this.tunnels.delete(socket))
    if (this.#accessLog !== undefined) logTunnel(this.#accessLog, req, tunnel)
    if (this.#isDraining) tunnel.drain()
    return true
  }

  /**
   * Checks a request before the application sees it; responds with an error status and returns true
   * if it is refused.
   */
  #isRefused(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    const { config } = this.#options
    this.requestCount++
    const forwardingRefusal = this.#forwarding?.apply(req) ?? 0
    if (this.#accessLog !== undefined) logResponse(this.#accessLog, req, res)
    // Node.js sends `Connection: close` with the last response that a connection may carry, but
    // keeps the connection open and answers further requests with 503.
    const isLast = this.#limitsConnections && responseInternals(res).maxRequestsOnConnectionReached
    if (this.#isDraining || config.keepalive === 0 || isLast) res.shouldKeepAlive = false
    const refusal = forwardingRefusal || findRefusalStatus(req, config)
    if (refusal !== 0) res.writeHead(refusal, { Connection: 'close' }).end()
    return refusal !== 0
  }

  #emitRequest(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    if (this.health.answer(req, res)) return true
    const { config } = this.#options
    if (this.#checkedRequests?.delete(req) !== true && this.#isRefused(req, res)) return true
    if (config.request_timeout > 0) limitResponseTime(req, res, config.request_timeout * 1000)
    noteHandlerStart(res)
    const listener = serverInternals(this.#server)._events.request
    this.#constructors?.update(listener)
    // A single listener without wrappers is called directly, as `emit` would, because `emit`
    // discards the result.
    const isDirect =
      typeof listener === 'function' &&
      this.#emit === originalEmit &&
      !capturesRejections(this.#server)
    if (!isDirect) {
      const hasListeners = Reflect.apply(this.#emit, this.#server, ['request', req, res])
      noteHandlerReturn(res)
      return hasListeners
    }
    const result: unknown = listener.call(this.#server, req, res)
    noteHandlerReturn(res)
    if (result !== undefined) noteHandlerResult(result, res)
    return true
  }
}

/**
 * The constructors of a server's requests and responses, which Node.js reads from two symbol fields
 * for each request. They are replaced only if they are Node's own. The fields are assigned rather
 * than defined as getters, which would turn the server into a dictionary object for V8.
 */
class ServerConstructors {
  readonly #serverFields: ServerInternals
  readonly #detector: ExpressDetector
  #listener: unknown

  constructor(server: http.Server, emit: unknown) {
    this.#serverFields = serverInternals(server)
    const nodeConstructors = serverConstructors(server)
    this.#detector = new ExpressDetector(server, emit, (request, response) => ({
      Request: this.#createConstructor<RequestConstructor>(
        nodeConstructors.Request,
        initRequest,
        request,
      ),
      Response: this.#createConstructor<ResponseConstructor>(
        nodeConstructors.Response,
        initResponse,
        response,
      ),
    }))
  }

  /** Returns undefined if the program has set constructors of its own. */
  static find(server: http.Server, emit: unknown): ServerConstructors | undefined {
    const fields = serverInternals(server)
    if (fields[kIncomingMessage] !== http.IncomingMessage) return undefined
    if (fields[kServerResponse] !== http.ServerResponse) return undefined
    return new ServerConstructors(server, emit)
  }

  /** Sets the constructors for the listener of 'request', from the next request on. */
  update(listener: unknown): void {
    if (listener === this.#listener) return
    this.#listener = listener
    const { Request, Response } = this.#detector.constructorsOfListener() ?? {}
    this.#serverFields[kIncomingMessage] = Request ?? http.IncomingMessage
    this.#serverFields[kServerResponse] = Response ?? http.ServerResponse
  }

  /**
   * Creates a constructor with Express's prototype. It falls back to Node's own objects while other
   * code can run before Express.
   */
  #createConstructor<C>(
    parent: NodeRequestConstructor | NodeResponseConstructor,
    initialize: (this: object, first: unknown, second: unknown) => void,
    prototype: object,
  ): C {
    const detector = this.#detector
    function Instance(this: object, first: unknown, second: unknown): object | undefined {
      if (detector.usableConstructors() === undefined) {
        return Reflect.construct(parent, [first, second])
      }
      initialize.call(this, first, second)
      return undefined
    }
    Instance.prototype = prototype
    return Object.setPrototypeOf(Instance, parent)
  }
}
