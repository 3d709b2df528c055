/**
 * Which request an error of the application belongs to, so that its client gets a 500 where nothing was sent. Nothing
 * is caught for that: the program's own listeners see every error as on node.
 */
import type { ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Exchange } from '../../engine/exchange.ts'

type CurrentExchange = Pick<Exchange, 'owner' | 'ended' | 'reset'>

let findCurrentExchange: () => CurrentExchange | undefined = () => undefined

/** The native engine's dispatcher knows which exchange it has in hand. */
export function setCurrentExchangeSource(ask: typeof findCurrentExchange): void {
  findCurrentExchange = ask
}

/** The response whose handler runs or has run in this turn of the loop: whose a throw is. */
let currentResponse: HandledResponse | undefined
let isForgetScheduled = false

/** Says that the handler of a response is about to run. */
export function noteHandlerStart(response: HandledResponse): void {
  currentResponse = response
}

/** Says that it has returned: what it has answered already needs nobody to remember it, and no job to forget it. */
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

class ReturnsArgument {
  // A constructor may return any object, and a derived one then puts its private fields on that: invisible to the
  // program that owns the promise, and cheaper than a WeakMap.
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: the whole point, see above.
    return target
  }
}

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

/** Remembers for whom a handler returned a promise. */
export function noteHandlerResult(result: unknown, response: HandledResponse): void {
  // A handler may return one promise for many requests; the first has to do.
  if (result instanceof Promise && !PromiseStamp.has(result)) new PromiseStamp(result, response)
}

/**
 * A handler or one of its jobs threw, and no listener of the program's own took it: its client gets a 500. The native
 * engine knows the exchange that the throw belongs to, the other one the response.
 */
export function respondToThrow(): void {
  const exchange = findCurrentExchange()
  if (exchange !== undefined) {
    if (exchange.owner?.onThrown !== undefined) exchange.owner.onThrown()
    // Of a bare handler nobody knows what it has sent.
    else if (!exchange.ended) exchange.reset()
    return
  }
  if (currentResponse === undefined) return
  // Node's parser, out of which the handler has thrown, reads nothing further.
  currentResponse.shouldKeepAlive = false
  sendServerError(currentResponse)
  currentResponse = undefined
}

/** A promise was rejected, and nobody took it: if a handler returned it, its client gets a 500. */
export function respondToRejection(promise: unknown): void {
  const response =
    typeof promise === 'object' && promise !== null ? PromiseStamp.read(promise) : undefined
  if (response !== undefined) sendServerError(response)
}

type HandledResponse = Pick<
  ServerResponse,
  | 'writableEnded'
  | 'destroyed'
  | 'headersSent'
  | 'destroy'
  | 'getHeaderNames'
  | 'removeHeader'
  | 'statusCode'
  | 'statusMessage'
  | 'shouldKeepAlive'
  | 'end'
>

/**
 * What node does itself for `captureRejections`: 500 without the headers set so far, or the end of the connection. The
 * phrase of another status goes too; a `writeHead` that throws has set it.
 */
export function sendServerError(response: HandledResponse): void {
  if (response.writableEnded || response.destroyed) return
  if (response.headersSent) {
    response.destroy()
    return
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  response.statusCode = 500
  response.statusMessage = ''
  response.end(STATUS_CODES[500])
}

/** What node's pending requests get when their connection is lost. */
export function connectionReset(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
}

/** What a raw socket gets when its client is lost, in node's words. */
export function socketReset(): Error {
  const text = 'read ECONNRESET'
  return Object.assign(new Error(text), { code: 'ECONNRESET', errno: -104, syscall: 'read' })
}

/** What 'clientError' tells of a message that was broken off. */
export function invalidEndOfMessage(): Error {
  const reason = 'Invalid EOF state'
  return Object.assign(new Error('Parse Error'), {
    bytesParsed: 0,
    code: 'HPE_INVALID_EOF_STATE',
    reason,
  })
}

/** What node's parser says of a mistake, with the bytes in which it was. */
function parseError(code: string, reason: string): (rawPacket: Buffer) => Error {
  return (rawPacket) =>
    Object.assign(new Error(`Parse Error: ${reason}`), { bytesParsed: 0, code, reason, rawPacket })
}

function requestTimeout(): Error {
  return Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
}

/** Node's errors for what is refused, in the order of the engine's kinds; there is none for the rest. */
const REFUSAL_ERRORS: readonly ((rawPacket: Buffer) => Error)[] = [
  parseError('HPE_INVALID_CHUNK_SIZE', 'Invalid character in chunk size'),
  parseError('HPE_INVALID_CONTENT_LENGTH', 'Invalid character in Content-Length'),
  parseError('HPE_INVALID_HEADER_TOKEN', 'Invalid header token'),
  parseError('HPE_CR_EXPECTED', 'Missing expected CR'),
  parseError('HPE_INVALID_METHOD', 'Invalid method encountered'),
  parseError('HPE_INVALID_URL', 'Invalid characters in url'),
  parseError('HPE_INVALID_TRANSFER_ENCODING', 'Request has invalid `Transfer-Encoding`'),
  parseError('HPE_INVALID_VERSION', 'Invalid HTTP version'),
  parseError('HPE_HEADER_OVERFLOW', 'Header overflow'),
  requestTimeout,
  parseError('HPE_UNEXPECTED_CONTENT_LENGTH', 'Content-Length already present'),
  invalidEndOfMessage,
]

/** What 'clientError' tells of a refusal; undefined for one that node's parser would not have made. */
export function refusalError(kind: number, rawPacket: Buffer): Error | undefined {
  return REFUSAL_ERRORS[kind - 1]?.(rawPacket)
}

/** What the callbacks of writes get that can no longer be done. */
export function streamDestroyed(method: string): Error {
  const text = `Cannot call ${method} after a stream was destroyed`
  return Object.assign(new Error(text), { code: 'ERR_STREAM_DESTROYED' })
}

/** What a socket that speaks HTTP says to `setEncoding`. */
export function encodingNotAllowed(): Error {
  const text = 'Changing the socket encoding is not allowed per RFC7230 Section 3.'
  return Object.assign(new Error(text), { code: 'ERR_HTTP_SOCKET_ENCODING' })
}

/** What a method says that the engine has nothing for. */
export function notImplemented(method: string): Error {
  const text = `The ${method}() method is not implemented`
  return Object.assign(new Error(text), { code: 'ERR_METHOD_NOT_IMPLEMENTED' })
}

/** What a second reading of a body gets, in native's words. */
export function bodyUnusable(): TypeError {
  return new TypeError('Body is unusable: Body has already been read')
}

/** What a reading of a body gets that comes too late. */
export function bodyDiscarded(): TypeError {
  return new TypeError('Body is unusable: the answer was complete before it was read')
}

/** What a fetch function's caller says of anything but a response. */
export function notAResponse(value: unknown): TypeError {
  return new TypeError(`the fetch function must return a Response, got ${typeof value}`)
}

/** What it says of a response that is none to send, as `Response.error()` is. */
export function invalidStatus(status: unknown): RangeError {
  return new RangeError(`the status of a Response must be 200 to 599, got ${status}`)
}

/** A length that the client has been told cannot be kept: it must not take the answer for a whole one. */
export function lengthMismatch(length: number, sent: number): RangeError {
  return new RangeError(
    `the Content-Length of a Response is ${length}, its stream gave ${sent} bytes`,
  )
}

/** What the body of a response has to be made of, as for native's own readers of it. */
export function notBytes(value: unknown): TypeError {
  const kind = value === null ? 'null' : (value?.constructor?.name ?? typeof value)
  return new TypeError(`the stream of a Response must give Uint8Array, got ${kind}`)
}
