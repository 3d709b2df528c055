/**
 * Express's prototypes from the start. Express sets the prototype of every request and response; V8 of Node 20 and 22
 * then builds new hidden classes for each and every inline cache misses, which is most of what Express costs there.
 * Setting the prototype that an object has already costs nothing, so where nothing can run before Express the objects
 * are constructed with its prototypes. Nothing is learned from traffic: code before Express that assigns `req.query`
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

/** Constructors of requests and responses that have the prototypes of one application. */
export interface MessageConstructors {
  readonly Request: RequestConstructor
  readonly Response: ResponseConstructor
}

const requestStart = channel('http.server.request.start')
const responseCreated = channel('http.server.response.created')

/** Says for each request whether a server's only listener is an Express application, and gives its constructors. */
export class ExpressDetector {
  readonly #server: http.Server
  readonly #originalEmit: unknown
  readonly #createConstructors: (request: object, response: object) => MessageConstructors
  #listener: unknown
  #constructors: MessageConstructors | undefined

  /** `emit` is what the server's `emit` is when nobody has replaced it. */
  constructor(
    server: http.Server,
    emit: unknown,
    make: (request: object, response: object) => MessageConstructors,
  ) {
    this.#server = server
    this.#originalEmit = emit
    this.#createConstructors = make
  }

  /** What the server's listener has, whether or not something can run before it. */
  constructorsOfListener(): MessageConstructors | undefined {
    const listener = serverInternals(this.#server)._events.request
    if (listener !== this.#listener) this.#inspectListener(listener)
    return this.#constructors
  }

  /** Asked before every request, since an application may change its listeners at any time. */
  usableConstructors(): MessageConstructors | undefined {
    const events = serverInternals(this.#server)._events
    if (this.constructorsOfListener() === undefined) return undefined
    const alone =
      this.#server.emit === this.#originalEmit &&
      http.Server.prototype.emit === originalEmit &&
      events.checkContinue === undefined &&
      events.checkExpectation === undefined &&
      !requestStart.hasSubscribers &&
      !responseCreated.hasSubscribers
    return alone ? this.#constructors : undefined
  }

  #inspectListener(listener: unknown): void {
    this.#listener = listener
    this.#constructors = undefined
    if (typeof listener !== 'function') return
    const { request, response } = listener as { request?: unknown; response?: unknown }
    if (!inheritsFrom(request, http.IncomingMessage.prototype)) return
    if (!inheritsFrom(response, http.ServerResponse.prototype)) return
    this.#constructors = this.#createConstructors(request, response)
  }
}

function inheritsFrom(value: unknown, prototype: object): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.prototype.isPrototypeOf.call(prototype, value)
  )
}
