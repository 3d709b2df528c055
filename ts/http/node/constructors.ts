/**
 * Constructors of requests and responses that set up node's fields and cost less than `new` of
 * node's own classes.
 */
import http from 'node:http'
import {
  initRequest,
  initResponse,
  kShapeMode,
  type NodeRequestConstructor,
  type NodeResponseConstructor,
  nodeMajor,
} from './internals.ts'

/** The constructors for the requests and responses of one application. */
export interface MessageConstructors {
  readonly Request: NodeRequestConstructor
  readonly Response: NodeResponseConstructor
}

/** Creates constructors whose objects have the given prototypes. */
export function createConstructors(request: object, response: object): MessageConstructors {
  return {
    Request: createRequestConstructor(request),
    Response: createResponseConstructor(response),
  }
}

// These are plain functions that call node's constructor on their own object: `Reflect.construct`
// costs more than it saves. V8 sizes new objects by the chain of constructors, so each function has
// node's constructor as its prototype.

function createRequestConstructor(prototype: object): NodeRequestConstructor {
  function Request(this: object, socket: unknown) {
    initRequest.call(this, socket)
  }
  Request.prototype = prototype
  Object.setPrototypeOf(Request, http.IncomingMessage)
  return toConstructor(Request)
}

function createResponseConstructor(prototype: object): NodeResponseConstructor {
  function Response(this: Emitter, request: unknown, options: unknown) {
    this._events = new Listeners()
    this._eventsCount = 0
    initResponse.call(this, request, options)
    if (SHAPED_EMITTERS_REMOVE_SILENTLY) this[kShapeMode] = false
  }
  Response.prototype = prototype
  Object.setPrototypeOf(Response, http.ServerResponse)
  return toConstructor(Response)
}

interface Emitter {
  _events: object
  _eventsCount: number
  [shapeMode: symbol]: unknown
}

/**
 * Types a plain function as the constructor that it is. TypeScript gives a construct signature to
 * classes alone, and these functions must not be classes: a class calls its parent's constructor
 * with `new`.
 */
export function toConstructor<C>(initialize: object): C {
  return initialize as C
}

/**
 * The object that holds the listeners, in place of node's `{ __proto__: null }`, which V8 keeps as
 * a dictionary from the start. A request to Koa, which adds four listeners, costs a twentieth less
 * with it. Node's streams use such an object too.
 */
const Listeners = toConstructor<new () => object>(function Listeners(this: object): void {})
Listeners.prototype = Object.create(null)

/**
 * Before Node 22 an emitter in shape mode does not emit 'removeListener' for the only listener of
 * an event.
 */
const SHAPED_EMITTERS_REMOVE_SILENTLY = nodeMajor < 22
