/** Constructors of requests and responses, for objects that begin as node's and cost less to make. */
import http from 'node:http'
import type { MessageConstructors, RequestConstructor, ResponseConstructor } from './express.ts'
import { kShapeMode, nodeMajor } from './internals.ts'

/** Requests and responses with these prototypes. */
export function createConstructors(request: object, response: object): MessageConstructors {
  return {
    Request: createRequestConstructor(request),
    Response: createResponseConstructor(response),
  }
}

// Plain functions that call node's constructor on an object of their own: `Reflect.construct` costs more than it saves.
// V8 sizes new objects by the chain of constructors, hence the prototype of the function itself.

function createRequestConstructor(prototype: object): RequestConstructor {
  const initialize = http.IncomingMessage as unknown as Initialize
  function Request(this: object, socket: unknown) {
    initialize.call(this, socket)
  }
  return withPrototype<RequestConstructor>(Request, prototype, initialize)
}

function createResponseConstructor(prototype: object): ResponseConstructor {
  const initialize = http.ServerResponse as unknown as Initialize
  function Response(this: Emitter, request: unknown, options: unknown) {
    this._events = new Listeners()
    this._eventsCount = 0
    initialize.call(this, request, options)
    if (REMOVES_SILENTLY) this[kShapeMode] = false
  }
  return withPrototype<ResponseConstructor>(Response, prototype, initialize)
}

type Initialize = (this: object, ...args: unknown[]) => void

interface Emitter {
  _events: object
  _eventsCount: number
  [shapeMode: symbol]: unknown
}

function withPrototype<C>(made: unknown, prototype: object, parent: unknown): C {
  const constructed = made as { prototype: object }
  constructed.prototype = prototype
  Object.setPrototypeOf(constructed, parent as object)
  return made as C
}

/**
 * What holds the listeners, in place of node's `{ __proto__: null }`, which V8 keeps as a dictionary from the start: a
 * request on which Koa listens four times costs a twentieth less with it. Node's streams begin with one that has a shape too.
 */
const Listeners = function Listeners(this: object): void {} as unknown as new () => object
Listeners.prototype = Object.create(null)

/** Before Node 22 emitters that begin with a shape do not tell 'removeListener' of an event's only listener. */
const REMOVES_SILENTLY = nodeMajor < 22
