/**
 * Finds out whether requests can be constructed with Express's prototypes. Express sets the
 * prototype of every request and response. V8 of Node 20 and 22 then builds hidden classes for each
 * object and every inline cache misses, which is most of what Express costs there. Setting the
 * prototype that an object already has costs nothing.
 *
 * So the objects get Express's prototypes at construction, where no other code can run before
 * Express. Nothing is inferred from earlier requests: code before Express that assigns `req.query`
 * would meet Express's getters.
 */
import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import { originalEmit, serverInternals } from './internals.ts'

export type RequestConstructor = new (socket: unknown) => http.IncomingMessage
export type ResponseConstructor = new (
  request: http.IncomingMessage,
  options?: object,
) => http.ServerResponse

const requestStart = channel('http.server.request.start')
const responseCreated = channel('http.server.response.created')

/**
 * Watches the 'request' listener of a server. `Constructors` is what `create` makes of the two
 * prototypes of an Express application.
 */
export class ExpressDetector<
  Constructors = { Request: RequestConstructor; Response: ResponseConstructor },
> {
  readonly #server: http.Server
  readonly #originalEmit: unknown
  readonly #create: (request: object, response: object) => Constructors
  #listener: unknown
  #constructors: Constructors | undefined

  /** `emit` is the server's `emit` as long as no code has replaced it. */
  constructor(
    server: http.Server,
    emit: unknown,
    create: (request: object, response: object) => Constructors,
  ) {
    this.#server = server
    this.#originalEmit = emit
    this.#create = create
  }

  /**
   * Returns the constructors if the only 'request' listener is an Express application. Other code
   * may run before it.
   */
  constructorsOfListener(): Constructors | undefined {
    const listener = serverInternals(this.#server)._events.request
    if (listener !== this.#listener) this.#inspectListener(listener)
    return this.#constructors
  }

  /**
   * Returns the constructors if an Express application is the only listener and no other code can
   * run before it. Call this for every request: an application may change its listeners at any
   * time.
   */
  usableConstructors(): Constructors | undefined {
    const events = serverInternals(this.#server)._events
    if (this.constructorsOfListener() === undefined) return undefined
    const isAlone =
      this.#server.emit === this.#originalEmit &&
      http.Server.prototype.emit === originalEmit &&
      events.checkContinue === undefined &&
      events.checkExpectation === undefined &&
      !requestStart.hasSubscribers &&
      !responseCreated.hasSubscribers
    return isAlone ? this.#constructors : undefined
  }

  #inspectListener(listener: unknown): void {
    this.#listener = listener
    this.#constructors = undefined
    if (typeof listener !== 'function') return
    const request: unknown = Reflect.get(listener, 'request')
    if (!inheritsFrom(request, http.IncomingMessage.prototype)) return
    const response: unknown = Reflect.get(listener, 'response')
    if (!inheritsFrom(response, http.ServerResponse.prototype)) return
    this.#constructors = this.#create(request, response)
  }
}

function inheritsFrom(value: unknown, prototype: object): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.prototype.isPrototypeOf.call(prototype, value)
  )
}
