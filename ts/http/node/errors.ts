/**
 * The errors of requests and responses, with node's codes, and the 500 response for an error of the
 * application. `../uncaught-errors.ts` finds the response.
 */
import type { ServerResponse } from 'node:http'
import { METHODS, STATUS_CODES } from 'node:http'
import { REFUSAL_KIND } from '../../engine/native/wire.ts'

/** What is used of a response to send a 500. */
export type HandledResponse = Pick<
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
 * Sends a 500 response without the fields set so far, or destroys a response whose head is sent.
 * Node does the same for `captureRejections`. The reason phrase is reset, too: a `writeHead` that
 * throws may have set it.
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

/** The error of a pending request whose connection is lost, as on node. */
export function connectionReset(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
}

/** The error of an upgraded socket whose connection is lost, with node's text. */
export function socketReset(): Error {
  const text = 'read ECONNRESET'
  return Object.assign(new Error(text), { code: 'ECONNRESET', errno: -104, syscall: 'read' })
}

/** The error that 'clientError' gets for a request whose connection closed before its end. */
export function invalidEndOfMessage(): Error {
  const reason = 'Invalid EOF state'
  return Object.assign(new Error('Parse Error'), {
    bytesParsed: 0,
    code: 'HPE_INVALID_EOF_STATE',
    reason,
  })
}

/**
 * Creates the error of node's parser for invalid input. `rawPacket` has the bytes with the error.
 */
function parseError(code: string, reason: string): (rawPacket: Buffer) => Error {
  return (rawPacket) =>
    Object.assign(new Error(`Parse Error: ${reason}`), { bytesParsed: 0, code, reason, rawPacket })
}

/** The methods that node's parser knows: those of HTTP and of RTSP. */
const PARSER_METHODS: readonly string[] = [
  ...METHODS,
  ...['ANNOUNCE', 'DESCRIBE', 'FLUSH', 'GET_PARAMETER', 'PAUSE', 'PLAY', 'RECORD', 'REDIRECT'],
  ...['SETUP', 'SET_PARAMETER', 'TEARDOWN'],
]

/**
 * The error of node's parser for an invalid method. `bytesParsed` counts the empty lines
 * before it and the bytes that begin a known method.
 */
function invalidMethod(rawPacket: Buffer): Error {
  const text = rawPacket.toString('latin1', 0, MAX_METHOD_SEARCH)
  const start = /^[\r\n]*/.exec(text)?.[0].length ?? 0
  const isKnownUntil = (end: number) =>
    PARSER_METHODS.some((method) => method.startsWith(text.slice(start, end)))
  let end = start
  while (end < text.length && isKnownUntil(end + 1)) end += 1
  const isMethod = text[end] !== ' ' && PARSER_METHODS.includes(text.slice(start, end))
  const reason = isMethod ? 'Expected space after method' : 'Invalid method encountered'
  const error = parseError('HPE_INVALID_METHOD', reason)(rawPacket)
  return Object.assign(error, { bytesParsed: end })
}

/** Number of bytes in which an invalid method is searched. */
const MAX_METHOD_SEARCH = 256

/** Node's error for a request that exceeds `requestTimeout`. */
function requestTimeout(): Error {
  return Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
}

/** Node's errors for refused requests, by the engine's REFUSAL_KIND. */
const REFUSAL_ERRORS: Readonly<Record<number, (rawPacket: Buffer) => Error>> = {
  [REFUSAL_KIND.CHUNK_SIZE]: parseError(
    'HPE_INVALID_CHUNK_SIZE',
    'Invalid character in chunk size',
  ),
  [REFUSAL_KIND.CONTENT_LENGTH]: parseError(
    'HPE_INVALID_CONTENT_LENGTH',
    'Invalid character in Content-Length',
  ),
  [REFUSAL_KIND.HEADER_TOKEN]: parseError('HPE_INVALID_HEADER_TOKEN', 'Invalid header token'),
  [REFUSAL_KIND.LINE_END]: parseError('HPE_CR_EXPECTED', 'Missing expected CR'),
  [REFUSAL_KIND.METHOD]: invalidMethod,
  [REFUSAL_KIND.TARGET]: parseError('HPE_INVALID_URL', 'Invalid characters in url'),
  [REFUSAL_KIND.TRANSFER_ENCODING]: parseError(
    'HPE_INVALID_TRANSFER_ENCODING',
    'Request has invalid `Transfer-Encoding`',
  ),
  [REFUSAL_KIND.VERSION]: parseError('HPE_INVALID_VERSION', 'Invalid HTTP version'),
  [REFUSAL_KIND.HEADER_OVERFLOW]: parseError('HPE_HEADER_OVERFLOW', 'Header overflow'),
  [REFUSAL_KIND.TIMEOUT]: requestTimeout,
  [REFUSAL_KIND.REPEATED_CONTENT_LENGTH]: parseError(
    'HPE_UNEXPECTED_CONTENT_LENGTH',
    'Content-Length already present',
  ),
  [REFUSAL_KIND.TRUNCATED_HEAD]: invalidEndOfMessage,
  [REFUSAL_KIND.BARE_CR]: parseError('HPE_LF_EXPECTED', 'Missing expected LF after header value'),
  [REFUSAL_KIND.CHUNK_EXTENSIONS]: parseError(
    'HPE_CHUNK_EXTENSIONS_OVERFLOW',
    'Chunk extensions overflow',
  ),
} satisfies Record<(typeof REFUSAL_KIND)[keyof typeof REFUSAL_KIND], (packet: Buffer) => Error>

/**
 * The error that 'clientError' gets for refused input; undefined if node's parser would have
 * accepted it.
 */
export function refusalError(kind: number, rawPacket: Buffer): Error | undefined {
  return REFUSAL_ERRORS[kind]?.(rawPacket)
}

/** The error for callbacks of writes to a destroyed stream. */
export function streamDestroyed(method: string): Error {
  const text = `Cannot call ${method} after a stream was destroyed`
  return Object.assign(new Error(text), { code: 'ERR_STREAM_DESTROYED' })
}

/** The error that `setEncoding` of an HTTP socket throws. */
export function encodingNotAllowed(): Error {
  const text = 'Changing the socket encoding is not allowed per RFC7230 Section 3.'
  return Object.assign(new Error(text), { code: 'ERR_HTTP_SOCKET_ENCODING' })
}

/** The error of a method that the engine does not support. */
export function notImplemented(method: string): Error {
  const text = `The ${method}() method is not implemented`
  return Object.assign(new Error(text), { code: 'ERR_METHOD_NOT_IMPLEMENTED' })
}

/** The error for a second read of a body, with the text of node's own `fetch` classes. */
export function bodyUnusable(): TypeError {
  return new TypeError('Body is unusable: Body has already been read')
}

/** The error for reading a body after the response. */
export function bodyDiscarded(): TypeError {
  return new TypeError('Body is unusable: the response ended before the body was read')
}

/** The error for a fetch function that returns something other than a `Response`. */
export function notAResponse(value: unknown): TypeError {
  return new TypeError(`the fetch function must return a Response, got ${typeof value}`)
}

/** The error for a `Response` with a status that cannot be sent, such as `Response.error()`. */
export function invalidStatus(status: unknown): RangeError {
  return new RangeError(`the status of a Response must be 200 to 599, got ${status}`)
}

/**
 * The error for a body whose length differs from its Content-Length. The client must not take it
 * for a whole one.
 */
export function lengthMismatch(length: number, sent: number): RangeError {
  return new RangeError(
    `the Content-Length of a Response is ${length}, its stream gave ${sent} bytes`,
  )
}

/** The error for a chunk of a `Response` stream that is no `Uint8Array`. */
export function notBytes(value: unknown): TypeError {
  const kind = value === null ? 'null' : (value?.constructor?.name ?? typeof value)
  return new TypeError(`the stream of a Response must give Uint8Array, got ${kind}`)
}
