/**
 * Connects node's own `ServerResponse` to the engine. Methods of its prototype are replaced once;
 * for a response that is not ours each calls node's method.
 *
 * Our responses take one of two ways. A simple call is passed straight to the engine, as long as no
 * code has patched the response. Every other call runs node's own method; the engine gets the head
 * that node rendered, and the body before its framing. Both ways give the same bytes.
 */
import { STATUS_CODES } from 'node:http'
import { CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../../engine/exchange.ts'
import {
  FieldStore,
  HAS_DATE,
  HAS_LENGTH,
  lastRenderedFields,
  NOT_SIMPLE,
  renderFieldObject,
  renderStoredFields,
  storeField,
} from './fields.ts'
import { parseInterim } from './interim.ts'
import type { Body, Encoding, NodeResponse, WriteCallback } from './internals.ts'
import { kCorked, kOutHeaders, kUniqueHeaders, outHeaders, responsePrototype } from './internals.ts'
import type { MessagePair } from './message-pair.ts'
import { HEAD_RENDERED, HEAD_SIMPLE, HEAD_UNDECIDED } from './response-head.ts'
import { kMessagePair } from './symbols.ts'

export type OurResponse = NodeResponse & { [kMessagePair]?: MessagePair; statusMessage: string }

const prototype: OurResponse = responsePrototype

// A tracer that has patched the prototype before us is included here, and so is still called.
const original = {
  end: prototype.end,
  writeHead: prototype.writeHead,
  implicitHeader: prototype._implicitHeader,
  storeHeader: prototype._storeHeader,
  send: prototype._send,
  writeRaw: prototype._writeRaw,
  finish: prototype._finish,
  uncork: prototype.uncork,
  setHeader: prototype.setHeader,
}

/**
 * The value of `res._header` for a simple head. Code that reads the field only checks whether there
 * is a head.
 */
const RESPONSE_LINE = 'HTTP/1.1 '

let isInstalled = false

/**
 * Whether other code, such as a tracer loaded with --import, has replaced node's methods before us.
 * Its methods must then be called for every response.
 */
let isPatchedBefore = false

/** Replaces the methods of node's responses. Called once, before the application loads. */
export function installResponseMethods(): void {
  if (isInstalled) return
  isInstalled = true
  isPatchedBefore = isPatched()
  const hadWriteHeader = Object.hasOwn(prototype, 'writeHeader')
  Object.assign(prototype, {
    ...{ end, writeHead, setHeader, uncork },
    ...{ _storeHeader, _send, _writeRaw, _finish },
  })
  if (hadWriteHeader) Object.assign(prototype, { writeHeader: writeHead })
}

/**
 * Whether the methods are not node's: most of node's are on the parent's prototype, and its
 * `writeHead` has an error.
 */
function isPatched(): boolean {
  const inherited = ['end', 'write', 'setHeader', '_send', '_writeRaw', '_storeHeader']
  if (inherited.some((name) => Object.hasOwn(prototype, name))) return true
  return !String(original.writeHead).includes('ERR_HTTP_HEADERS_SENT')
}

/**
 * Whether no method that a simple response uses has been replaced, on the instance or on a
 * prototype.
 */
function hasOriginalMethods(res: OurResponse): boolean {
  return (
    !isPatchedBefore &&
    res.writeHead === writeHead &&
    res._implicitHeader === original.implicitHeader &&
    res._storeHeader === _storeHeader &&
    res._send === _send
  )
}

function end(this: OurResponse, chunk?: unknown, encoding?: unknown, callback?: unknown) {
  const pair = this[kMessagePair]
  if (pair === undefined) return original.end.call(this, chunk, encoding, callback)
  if (
    (callback === undefined || callback === null) &&
    (encoding === undefined || encoding === null || encoding === 'utf8') &&
    (typeof chunk === 'string' || chunk instanceof Uint8Array || chunk === undefined) &&
    !this.finished &&
    !this.destroyed &&
    !pair.isHeadSent &&
    endSimply(this, pair, chunk)
  ) {
    return this
  }
  return endByNode(this, pair, chunk, encoding, callback)
}

/**
 * Sends the whole response with one command. Returns false, and sends nothing, if node's own method
 * must decide.
 */
function endSimply(
  res: OurResponse,
  pair: MessagePair,
  chunk: string | Uint8Array | undefined,
): boolean {
  if (!hasOriginalMethods(res) || pair.socket.destroyed) return false
  if (pair.headState === HEAD_RENDERED) return false
  if (pair.headState === HEAD_UNDECIDED) {
    if (res._header || !composeSimpleHead(res, pair, res.statusCode, undefined)) return false
    // The head is composed together with the whole body, so it can have a Content-Length.
    if (pair.isChunked) {
      pair.isChunked = false
      if (res._removedContLen) {
        pair.headState = HEAD_UNDECIDED
        res._header = null
        return false
      }
      pair.flags |= LENGTH
    }
  }
  // Node decides how chunks follow a head. That is rare, since a head by `writeHead` mostly has a
  // Content-Length.
  if (pair.isChunked || res[kCorked]) return false
  pair.isHeadSent = true
  res._headerSent = true
  res.finished = true
  pair.exchange.respond(pair.status, pair.reason, pair.fields, pair.flags, chunk, 'utf8')
  pair.isResponseEnded = true
  res._finish()
  pair.scheduleFinish()
  return true
}

function setHeader(this: OurResponse, name: unknown, value: unknown): OurResponse {
  if (this[kMessagePair] === undefined || this._header)
    return original.setHeader.call(this, name, value)
  const before = outHeaders(this)
  const map = before ?? new FieldStore()
  if (isPatchedBefore || !storeField(map, name, value)) {
    this[kMessagePair].needsNodeHead = true
    return original.setHeader.call(this, name, value)
  }
  if (before === null) this[kOutHeaders] = map
  return this
}

/**
 * Runs node's `end`, which passes the body to `_send`, and then ends the response at the engine.
 */
function endByNode(
  res: OurResponse,
  pair: MessagePair,
  chunk: unknown,
  encoding: unknown,
  callback: unknown,
): OurResponse {
  if (res.finished || res.destroyed) return original.end.call(res, chunk, encoding, callback)
  // Node passes the callback for 'finish' to `_send` only while `_headerSent` is false.
  const headerSent = res._headerSent
  res._headerSent = false
  pair.isEnding = true
  try {
    original.end.call(res, chunk, encoding, callback)
  } finally {
    pair.isEnding = false
    res._headerSent = headerSent
  }
  if (res.finished) pair.completeResponse()
  return res
}

function writeHead(this: OurResponse, status: unknown, reason?: unknown, fields?: unknown) {
  const pair = this[kMessagePair]
  if (pair === undefined) return original.writeHead.call(this, status, reason, fields)
  if (
    !this._header &&
    typeof status === 'number' &&
    Number.isInteger(status) &&
    (fields === undefined || typeof reason === 'string') &&
    !isPatchedBefore &&
    this._storeHeader === _storeHeader &&
    typeof this._contentLength !== 'number'
  ) {
    const isText = typeof reason === 'string'
    const object = isText ? fields : reason
    if (isText && !isPlainReason(reason))
      return original.writeHead.call(this, status, reason, fields)
    if (composeSimpleHead(this, pair, status, object, isText ? reason : undefined)) return this
  }
  return original.writeHead.call(this, status, reason, fields)
}

/**
 * Sets the head of the pair without the fields that the engine adds. Returns false, and changes
 * nothing, if the head is not simple.
 */
function composeSimpleHead(
  res: OurResponse,
  pair: MessagePair,
  given: number,
  object: unknown,
  givenReason?: string,
): boolean {
  // As in node: `statusCode` may be a string or a fraction.
  const status = given | 0
  if (!(status >= 200 && status <= 999) || res[kUniqueHeaders] || pair.needsNodeHead) return false
  if (res.maxRequestsOnConnectionReached) return false
  if (res._maxRequestsPerSocket > 0 || res._removedTE || res.strictContentLength) return false
  const map = outHeaders(res)
  const has =
    map === null ? renderHeadFields(object) : object ? NOT_SIMPLE : renderStoredFields(map)
  if (has === NOT_SIMPLE) return false
  const reason = givenReason ?? (res.statusMessage || STATUS_CODES[status] || 'unknown')
  if (res.statusMessage && !isPlainReason(res.statusMessage)) return false

  // For HTTP/1.0 node adds no Content-Length. Without the application's own, the body ends with the
  // connection.
  const endsConnection = !res.useChunkedEncodingByDefault && (has & HAS_LENGTH) === 0
  if (endsConnection && res._removedConnection) return false

  res.statusCode = status
  res.statusMessage = reason
  if (status === 204 || status === 304) res._hasBody = false
  if (res._expect_continue && !res._sent100) res.shouldKeepAlive = false
  let flags = 0
  if (res.sendDate && (has & HAS_DATE) === 0) flags |= DATE
  if (!res._removedConnection) flags |= CONNECTION
  if (!res.shouldKeepAlive || endsConnection) {
    res._last = true
    flags |= CLOSE
  }
  if (!res._hasBody) flags |= NO_BODY
  else if ((has & HAS_LENGTH) === 0) pair.isChunked = !endsConnection
  pair.headState = HEAD_SIMPLE
  pair.status = status
  pair.reason = status === 200 && reason === 'OK' ? undefined : reason
  pair.fields = lastRenderedFields
  pair.flags = flags
  res._header = RESPONSE_LINE
  return true
}

/**
 * Renders the fields that `writeHead` was given; an array or a value that is no object is not
 * simple.
 */
function renderHeadFields(object: unknown): number {
  if (object === undefined || object === null) return renderFieldObject(NO_FIELDS)
  return isFieldObject(object) ? renderFieldObject(object) : NOT_SIMPLE
}

function isFieldObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && !Array.isArray(value)
}

const NO_FIELDS: Record<string, unknown> = {}

function isPlainReason(reason: string): boolean {
  return !UNSAFE_REASON.test(reason)
}

/**
 * Node accepts characters beyond ASCII too, and writes them in one of two encodings, as in field
 * values.
 */
const UNSAFE_REASON = /[^\t\x20-\x7e]/

function _storeHeader(this: OurResponse, firstLine: string, fields: unknown): void {
  const pair = this[kMessagePair]
  original.storeHeader.call(this, firstLine, fields)
  if (pair === undefined) return
  pair.headState = HEAD_RENDERED
  // The engine frames the chunks. While this field is false, node passes the body without framing.
  pair.isChunked = this.chunkedEncoding
  this.chunkedEncoding = false
}

function _send(
  this: OurResponse,
  data: Body,
  encoding?: Encoding,
  callback?: WriteCallback,
  length?: number,
): boolean {
  const pair = this[kMessagePair]
  if (pair === undefined) return original.send.call(this, data, encoding, callback, length)
  return pair.send(data, encoding, callback)
}

/**
 * Node corks by its chunk framing, which the engine does. So the pair holds the corked writes, and
 * flushes them here.
 */
function uncork(this: OurResponse): void {
  original.uncork.call(this)
  const pair = this[kMessagePair]
  if (pair !== undefined && !pair.isEnding && !this[kCorked]) pair.flushCorked()
}

/**
 * Called by node's `end` when it has passed on the whole body. An application may also call that
 * `end` directly, on the parent's prototype: then the response is ended here.
 */
function _finish(this: OurResponse): void {
  original.finish.call(this)
  const pair = this[kMessagePair]
  if (pair !== undefined && !pair.isResponseEnded && !pair.isEnding) pair.completeAfterNodeEnd()
}

/** Takes the text of an interim response, which node's methods for 1xx write with this method. */
function _writeRaw(
  this: OurResponse,
  data: Body,
  second?: Encoding | WriteCallback,
  third?: WriteCallback,
): boolean {
  const [encoding, callback] = typeof second === 'function' ? [null, second] : [second, third]
  const pair = this[kMessagePair]
  if (pair === undefined) return original.writeRaw.call(this, data, encoding, callback)
  const interim = parseInterim(pair, data)
  if (interim === undefined) return pair.send(data, encoding, callback)
  if (pair.socket.destroyed) return false
  if (interim !== 'incomplete')
    pair.exchange.sendInterim(interim.status, interim.reason, interim.fields)
  if (callback) pair.callAfterWrite(callback)
  return true
}
