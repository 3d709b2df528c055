/**
 * What stands between node:http's parser and the application in the node engine: limits, drain, the access log, who
 * rejected, and Express's prototypes. It replaces `emit` of the served server and nothing else.
 */
import http from 'node:http'
import type { Socket } from 'node:net'
import type { EngineOptions } from '../../engine/engine.ts'
import { NodeTunnel } from '../../engine/node-tunnel.ts'
import { rulesOf } from '../../engine/rules.ts'
import { type AccessLog, openAccessLog } from '../../log/access.ts'
import { logAnswer, logTunnel } from './access.ts'
import { answerBadRequest } from './bad-request.ts'
import { noteHandler, noteResult } from './errors.ts'
import type { RequestConstructor, ResponseConstructor } from './express.ts'
import { constructorOf, ExpressWatch } from './express.ts'
import { Forwarding } from './forwarding.ts'
import {
  capturesRejections,
  kIncomingMessage,
  kServerResponse,
  originalEmit,
  responseInternals,
  serverInternals,
} from './internals.ts'
import { limitAnswer, refusalOf } from './limits.ts'

export class NodeDispatch {
  requests = 0
  /** The connections that the application has taken over. */
  readonly tunnels = new Map<Socket, NodeTunnel>()
  #draining = false
  /** The operator has, and not the program, whose server is node's own. */
  readonly #limitsConnections: boolean
  /** Requests that another event than 'request' has brought already. */
  readonly #looked = new WeakSet<http.IncomingMessage>()
  readonly #server: http.Server
  readonly #options: EngineOptions
  readonly #accessLog: AccessLog | undefined
  readonly #forwarding: Forwarding | undefined

  constructor(server: http.Server, options: EngineOptions) {
    this.#server = server
    this.#options = options
    this.#limitsConnections = options.given?.has('limit_requests_per_connection') === true
    const rules = rulesOf(options.config)
    if (rules !== undefined) this.#forwarding = new Forwarding(rules)
    this.#accessLog = openAccessLog(options.config)
    const dispatch = this
    function emit(this: http.Server, name: string, ...args: unknown[]): boolean {
      const [req, res] = args as [http.IncomingMessage, http.ServerResponse]
      if (name === 'request') return dispatch.#request(req, res)
      if (name === 'upgrade' || name === 'connect') {
        if (!dispatch.#upgrade(req)) return true
      } else if (name === 'checkContinue' || name === 'checkExpectation') {
        if (dispatch.#refuses(req, res)) return true
        // The program may pass it on as a request.
        dispatch.#looked.add(req)
      } else if (name === 'clientError' && this.listenerCount(name) === 0) {
        answerBadRequest(...(args as [NodeJS.ErrnoException, Socket]))
        return true
      }
      return Reflect.apply(http.Server.prototype.emit, this, [name, ...args])
    }
    // Not enumerable: the program that prints its server sees what it would see on node.
    Object.defineProperty(server, 'emit', { value: emit, writable: true, configurable: true })
    chooseConstructors(server, emit)
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
    this.#draining = true
    for (const tunnel of this.tunnels.values()) tunnel.leave()
  }

  /** Whether the application hears of it. */
  #upgrade(req: http.IncomingMessage): boolean {
    const { socket } = req
    this.requests++
    const refusal = this.#forwarding?.apply(req) || refusalOf(req, this.#options.config)
    if (refusal !== 0) {
      socket.end(`HTTP/1.1 ${refusal} ${http.STATUS_CODES[refusal]}\r\nConnection: close\r\n\r\n`)
      return false
    }
    const tunnel = new NodeTunnel(socket)
    this.tunnels.set(socket, tunnel)
    socket.once('close', () => this.tunnels.delete(socket))
    if (this.#accessLog !== undefined) logTunnel(this.#accessLog, req, tunnel)
    if (this.#draining) tunnel.leave()
    return true
  }

  /** Looks at a request before the application does, and answers it if it is not right. */
  #refuses(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    const { config } = this.#options
    this.requests++
    const misled = this.#forwarding?.apply(req) ?? 0
    if (this.#accessLog !== undefined) logAnswer(this.#accessLog, req, res)
    // Node says close with the last answer that a connection may carry, and waits for more to answer 503.
    const isLast = this.#limitsConnections && responseInternals(res).maxRequestsOnConnectionReached
    if (this.#draining || config.keepalive === 0 || isLast) res.shouldKeepAlive = false
    const refusal = misled || refusalOf(req, config)
    if (refusal !== 0) res.writeHead(refusal, { Connection: 'close' }).end()
    return refusal !== 0
  }

  #request(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    const { config } = this.#options
    if (!this.#looked.delete(req) && this.#refuses(req, res)) return true
    if (config.request_timeout > 0) limitAnswer(req, res, config.request_timeout * 1000)
    noteHandler(res)
    const listener = serverInternals(this.#server)._events.request
    // One listener and nobody in between: called as `emit` would, but with its result in hand.
    const direct =
      typeof listener === 'function' &&
      http.Server.prototype.emit === originalEmit &&
      !capturesRejections(this.#server)
    if (!direct) {
      return Reflect.apply(http.Server.prototype.emit, this.#server, ['request', req, res])
    }
    const result: unknown = (listener as http.RequestListener).call(this.#server, req, res)
    if (result !== undefined) noteResult(result, res)
    return true
  }
}

/** Node's server takes its constructors from two symbols; those that `createServer` was given are kept. */
function chooseConstructors(server: http.Server, emit: unknown): void {
  if (kIncomingMessage === undefined || kServerResponse === undefined) return
  const slots = server as unknown as Record<symbol, unknown>
  if (slots[kIncomingMessage] !== http.IncomingMessage) return
  if (slots[kServerResponse] !== http.ServerResponse) return
  const watch = new ExpressWatch(server, emit, (request, response) => ({
    Request: constructorOf<RequestConstructor>(http.IncomingMessage, request),
    Response: constructorOf<ResponseConstructor>(http.ServerResponse, response),
  }))
  // Node looks the constructors up for each request: a getter lets it call its own where nothing is gained.
  Object.defineProperties(server, {
    [kIncomingMessage]: {
      get: () => watch.current()?.Request ?? http.IncomingMessage,
      configurable: true,
    },
    [kServerResponse]: {
      get: () => watch.current()?.Response ?? http.ServerResponse,
      configurable: true,
    },
  })
}
