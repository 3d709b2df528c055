/**
 * What stands between node:http's parser and the application in the node engine: limits, drain, the access log, who
 * rejected, and Express's prototypes. It replaces `emit` of the served server and nothing else.
 */
import http from 'node:http'
import type { Socket } from 'node:net'
import { sendBadRequest } from '../../http/node/bad-request.ts'
import { noteHandlerResult, noteHandlerReturn, noteHandlerStart } from '../../http/node/errors.ts'
import type { RequestConstructor, ResponseConstructor } from '../../http/node/express.ts'
import { ExpressDetector } from '../../http/node/express.ts'
import {
  capturesRejections,
  kIncomingMessage,
  kServerResponse,
  originalEmit,
  responseInternals,
  serverInternals,
} from '../../http/node/internals.ts'
import { type AccessLog, openAccessLog } from '../../log/access.ts'
import type { EngineOptions } from '../engine.ts'
import { parsePolicyOf } from '../parse-policy.ts'
import { logResponse, logTunnel } from './access-log.ts'
import { ForwardedHeaders } from './forwarding.ts'
import { findRefusalStatus, limitResponseTime } from './request-checks.ts'
import { NodeTunnel } from './tunnel.ts'

export class NodeDispatcher {
  requestCount = 0
  /** The connections that the application has taken over. */
  readonly tunnels = new Map<Socket, NodeTunnel>()
  #isDraining = false
  /** The operator has, and not the program, whose server is node's own. */
  readonly #limitsConnections: boolean
  /** Requests that another event than 'request' has brought already. */
  #checkedRequests: WeakSet<http.IncomingMessage> | undefined
  readonly #server: http.Server
  readonly #options: EngineOptions
  readonly #accessLog: AccessLog | undefined
  readonly #forwarding: ForwardedHeaders | undefined
  readonly #constructors: ServerConstructors | undefined
  /** The program has put it over its server's `emit`. */
  readonly #programEmit: http.Server['emit'] | undefined

  constructor(server: http.Server, options: EngineOptions) {
    this.#server = server
    this.#options = options
    this.#limitsConnections = options.given?.has('limit_requests_per_connection') === true
    this.#forwarding = new ForwardedHeaders(parsePolicyOf(options.config))
    this.#accessLog = openAccessLog(options.config)
    if (Object.hasOwn(server, 'emit')) this.#programEmit = server.emit
    const dispatch = this
    // Nothing is gathered for the event that nearly all are.
    function emit(this: http.Server, name: string, first: unknown, second: unknown): boolean {
      if (name === 'request') {
        return dispatch.#emitRequest(first as http.IncomingMessage, second as http.ServerResponse)
      }
      // biome-ignore lint/complexity/noArguments: rest parameters would make an array for every request.
      return dispatch.#emitOther(this, name, arguments)
    }
    // Not enumerable: the program that prints its server sees what it would see on node.
    Object.defineProperty(server, 'emit', { value: emit, writable: true, configurable: true })
    if (this.#programEmit === undefined) this.#constructors = ServerConstructors.find(server, emit)
    this.#constructors?.update(serverInternals(server)._events.request)
  }

  /** Writes what is collected of the access log. */
  flush(): void {
    this.#accessLog?.flush()
  }

  reopenLog(): void {
    this.#accessLog?.reopen()
  }

  /** From now on every answer is its connection's last. */
  drain(): void {
    this.#isDraining = true
    for (const tunnel of this.tunnels.values()) tunnel.drain()
  }

  /** Every event but 'request'. */
  #emitOther(server: http.Server, name: string, args: IArguments): boolean {
    const [, first, second] = args
    if (name === 'upgrade' || name === 'connect') {
      if (!this.#acceptUpgrade(first)) return true
    } else if (name === 'checkContinue' || name === 'checkExpectation') {
      if (this.#isRefused(first, second)) return true
      // The program may pass it on as a request.
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

  /** Whether the application hears of it. */
  #acceptUpgrade(req: http.IncomingMessage): boolean {
    const { socket } = req
    this.requestCount++
    // Express does not hear of it: who does may assign `req.query`, which is a getter of Express's prototype.
    if (this.#constructors !== undefined) Object.setPrototypeOf(req, http.IncomingMessage.prototype)
    const refusal = this.#forwarding?.apply(req) || findRefusalStatus(req, this.#options.config)
    if (refusal !== 0) {
      socket.end(`HTTP/1.1 ${refusal} ${http.STATUS_CODES[refusal]}\r\nConnection: close\r\n\r\n`)
      return false
    }
    const tunnel = new NodeTunnel(socket)
    this.tunnels.set(socket, tunnel)
    socket.once('close', () => this.tunnels.delete(socket))
    if (this.#accessLog !== undefined) logTunnel(this.#accessLog, req, tunnel)
    if (this.#isDraining) tunnel.drain()
    return true
  }

  /** Looks at a request before the application does, and answers it if it is not right. */
  #isRefused(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    const { config } = this.#options
    this.requestCount++
    const misled = this.#forwarding?.apply(req) ?? 0
    if (this.#accessLog !== undefined) logResponse(this.#accessLog, req, res)
    // Node says close with the last answer that a connection may carry, and waits for more to answer 503.
    const isLast = this.#limitsConnections && responseInternals(res).maxRequestsOnConnectionReached
    if (this.#isDraining || config.keepalive === 0 || isLast) res.shouldKeepAlive = false
    const refusal = misled || findRefusalStatus(req, config)
    if (refusal !== 0) res.writeHead(refusal, { Connection: 'close' }).end()
    return refusal !== 0
  }

  #emitRequest(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    const { config } = this.#options
    if (this.#checkedRequests?.delete(req) !== true && this.#isRefused(req, res)) return true
    if (config.request_timeout > 0) limitResponseTime(req, res, config.request_timeout * 1000)
    noteHandlerStart(res)
    const listener = serverInternals(this.#server)._events.request
    this.#constructors?.update(listener)
    // One listener and nobody in between: called as `emit` would, but with its result in hand.
    const direct =
      typeof listener === 'function' &&
      this.#emit === originalEmit &&
      !capturesRejections(this.#server)
    if (!direct) {
      const heard = Reflect.apply(this.#emit, this.#server, ['request', req, res])
      noteHandlerReturn(res)
      return heard
    }
    const result: unknown = (listener as http.RequestListener).call(this.#server, req, res)
    noteHandlerReturn(res)
    if (result !== undefined) noteHandlerResult(result, res)
    return true
  }
}

/**
 * Node's server takes its constructors from two symbols, for each request. Those that `createServer` was given are kept.
 * They are assigned and not made getters, which would turn the server into a dictionary for V8.
 */
class ServerConstructors {
  readonly #serverFields: Record<symbol, unknown>
  readonly #detector: ExpressDetector
  #listener: unknown

  constructor(server: http.Server, emit: unknown) {
    this.#serverFields = server as unknown as Record<symbol, unknown>
    this.#detector = new ExpressDetector(server, emit, (request, response) => ({
      Request: this.#createConstructor<RequestConstructor>(http.IncomingMessage, request),
      Response: this.#createConstructor<ResponseConstructor>(http.ServerResponse, response),
    }))
  }

  static find(server: http.Server, emit: unknown): ServerConstructors | undefined {
    if (kIncomingMessage === undefined || kServerResponse === undefined) return undefined
    const slots = server as unknown as Record<symbol, unknown>
    if (slots[kIncomingMessage] !== http.IncomingMessage) return undefined
    if (slots[kServerResponse] !== http.ServerResponse) return undefined
    return new ServerConstructors(server, emit)
  }

  /** Looks whether Express listens, from the next request on, where the listener is another than before. */
  update(listener: unknown): void {
    if (listener === this.#listener) return
    this.#listener = listener
    const { Request, Response } = this.#detector.constructorsOfListener() ?? {}
    if (kIncomingMessage !== undefined) {
      this.#serverFields[kIncomingMessage] = Request ?? http.IncomingMessage
    }
    if (kServerResponse !== undefined) {
      this.#serverFields[kServerResponse] = Response ?? http.ServerResponse
    }
  }

  /** Makes what node makes once something can run before Express. */
  #createConstructor<C>(parent: unknown, prototype: object): C {
    const Node = parent as new (first: unknown, second: unknown) => object
    const initialize = parent as (this: object, first: unknown, second: unknown) => void
    const watch = this.#detector
    function Instance(this: object, first: unknown, second: unknown): object | undefined {
      if (watch.usableConstructors() === undefined) return new Node(first, second)
      initialize.call(this, first, second)
      return undefined
    }
    Instance.prototype = prototype
    Object.setPrototypeOf(Instance, Node)
    return Instance as unknown as C
  }
}
