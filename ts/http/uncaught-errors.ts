/**
 * Responds to the request that an uncaught error belongs to.
 *
 * Errors of the application are not caught for that: its own listeners get every error, as on node.
 * This module only finds the client: by the async context in which the error was thrown, by the
 * handler that runs, or by the promise that a handler returned.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import type { Exchange } from '../engine/exchange.ts'
import { system } from '../process/system.ts'
import { type HandledResponse, sendServerError } from './node/errors.ts'

/** An exchange, or a tunnel, whose owner responds to the error. */
export type CurrentExchange = Pick<Exchange, 'owner' | 'ended'> & Partial<Pick<Exchange, 'reset'>>

/**
 * A client that an error can belong to: an exchange of the native engine; on node:http a response,
 * or a socket that the application has taken over.
 */
type Client = CurrentExchange | HandledResponse | Duplex

/** The client of a connection's own events: none, since no request waits for their listeners. */
export const NO_CLIENT: CurrentExchange = { owner: undefined, ended: true }

let findCurrentExchange: () => CurrentExchange | undefined = () => undefined
let findInFlight: () => readonly Client[] = () => []

/**
 * Sets the function that returns the exchange whose handler is running. The native engine's
 * dispatcher knows it.
 */
export function setCurrentExchangeSource(find: typeof findCurrentExchange): void {
  findCurrentExchange = find
}

/** Sets the function that returns the clients whose requests are in flight. */
export function setInFlightSource(find: typeof findInFlight): void {
  findInFlight = find
}

/**
 * The async context of each request: timers, callbacks and promises inherit it. Undefined where
 * uncaught errors are left to Node.
 */
let contexts: AsyncLocalStorage<Client> | undefined

/** Time limit of a request that an error with an unknown client may belong to. */
let limitMs = Number.POSITIVE_INFINITY

/** Starts to remember the client of each async context. */
export function rememberClients(options: { readonly limitMs: number }): void {
  contexts ??= new AsyncLocalStorage()
  limitMs = options.limitMs
}

/** Makes the client that of the current async context. */
export function enterClient(client: Client): void {
  contexts?.enterWith(client)
}

/** Calls `run` in the async context of a client. */
export function runForClient<R>(client: Client, run: () => R): R {
  return contexts === undefined ? run() : contexts.run(client, run)
}

/**
 * The response whose handler has run in this turn of the event loop. An error that is thrown
 * belongs to it.
 */
let currentResponse: HandledResponse | undefined
/** Whether `forgetCurrentResponse` is scheduled. */
let isForgetScheduled = false

/** Notes that the handler of a response is about to run. */
export function noteHandlerStart(response: HandledResponse): void {
  currentResponse = response
  enterClient(response)
}

/**
 * Notes that the handler has returned. If it has ended the response, no later error can belong to
 * it.
 */
export function noteHandlerReturn(response: HandledResponse): void {
  if (response.writableEnded) {
    currentResponse = undefined
    return
  }
  if (isForgetScheduled) return
  isForgetScheduled = true
  setImmediate(forgetCurrentResponse)
}

function forgetCurrentResponse(): void {
  currentResponse = undefined
  isForgetScheduled = false
}

/** A base class whose derived classes add their private fields to the given object. */
class ReturnsArgument {
  // A constructor may return any object, and a derived class then adds its private fields to that
  // object. The fields are invisible to the application, which owns the promise, and cost less than
  // a WeakMap.
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: this is the purpose, see above.
    return target
  }
}

/** Adds a response to a promise as a private field. */
class PromiseStamp extends ReturnsArgument {
  #response: HandledResponse

  constructor(promise: object, response: HandledResponse) {
    super(promise)
    this.#response = response
  }

  static has(promise: object): boolean {
    return #response in promise
  }

  static read(promise: object): HandledResponse | undefined {
    return #response in promise ? promise.#response : undefined
  }
}

/** Remembers the response for which a handler returned a promise. */
export function noteHandlerResult(result: unknown, response: HandledResponse): void {
  // A handler may return the same promise for many requests. The first response gets the 500.
  if (result instanceof Promise && !PromiseStamp.has(result)) new PromiseStamp(result, response)
}

/** Sends a 500 response after an uncaught error. */
export function respondToThrow(): void {
  const entered = contexts?.getStore()
  if (entered !== undefined) {
    // The error may have left node's parser, which then reads nothing more from this connection.
    if ('shouldKeepAlive' in entered) entered.shouldKeepAlive = false
    return respondToEntered(entered)
  }
  const client = findCurrentExchange() ?? currentResponse
  if (client === undefined) return respondToInFlight({ answersSingle: true })
  if (client === currentResponse) currentResponse.shouldKeepAlive = false
  currentResponse = undefined
  respond(client)
}

/** Sends a 500 response after an unhandled rejection. */
export function respondToRejection(promise: unknown): void {
  const returned =
    typeof promise === 'object' && promise !== null ? PromiseStamp.read(promise) : undefined
  if (returned !== undefined) return sendServerError(returned)
  const entered = contexts?.getStore()
  if (entered !== undefined) return respondToEntered(entered)
  // Rejections are reported after the jobs of the handler that runs.
  const client = findCurrentExchange() ?? currentResponse
  if (client === undefined) respondToInFlight({ answersSingle: true })
  else respond(client)
}

/**
 * Responds to the client of an async context. If that has its response, the error may belong to
 * another one: the first request of a worker often opens the connections that all requests use.
 */
function respondToEntered(client: Client): void {
  if (isAnswered(client)) respondToInFlight({ answersSingle: false })
  else respond(client)
}

/**
 * Responds to an error that belongs to no known client. A request that waits alone gets its 500 at
 * once if `answersSingle` is set. Several get a time limit. A response that has begun continues.
 */
function respondToInFlight({ answersSingle }: { readonly answersSingle: boolean }): void {
  if (contexts === undefined) return
  const waiting = findInFlight().filter(isWaiting)
  const [first] = waiting
  if (answersSingle && first !== undefined && waiting.length === 1) return respond(first)
  const deadline = system.now() + limitMs
  for (const client of waiting) if (!deadlines.has(client)) deadlines.set(client, deadline)
  scheduleCheck()
}

/** The time limits of requests that an error may belong to. */
const deadlines = new Map<Client, number>()
/** Interval between two checks of the time limits. */
const CHECK_MS = 250
let isCheckScheduled = false

function scheduleCheck(): void {
  if (isCheckScheduled || deadlines.size === 0) return
  isCheckScheduled = true
  setTimeout(checkDeadlines, CHECK_MS).unref()
}

function checkDeadlines(): void {
  isCheckScheduled = false
  const now = system.now()
  for (const [client, deadline] of deadlines) {
    if (isWaiting(client) && now < deadline) continue
    deadlines.delete(client)
    if (isWaiting(client)) respond(client)
  }
  scheduleCheck()
}

/** Whether no part of the response has been sent. */
function isWaiting(client: Client): boolean {
  if (isAnswered(client)) return false
  if ('owner' in client) return client.owner?.isHeadSent !== true
  return 'headersSent' in client && !client.headersSent
}

function isAnswered(client: Client): boolean {
  if ('owner' in client) return client.ended
  return client.writableEnded || client.destroyed
}

function respond(client: Client): void {
  if ('owner' in client) {
    if (client.owner?.onThrown !== undefined) client.owner.onThrown()
    // A handler that uses the exchange directly may have sent a part of a response.
    else if (!client.ended) client.reset?.()
  } else if ('headersSent' in client) {
    sendServerError(client)
  } else {
    client.destroy()
  }
}
