/**
 * The response side: node's own `ServerResponse`, whose methods are replaced once on its prototype. Each falls back to
 * node's for a response that is not ours. For ours there are two lanes: a simple call goes straight to the engine while
 * nobody has patched anything; all else is decided by node's own method, of which we take the rendered head and the
 * body before its framing. Both give the same bytes.
 */
import http, { STATUS_CODES } from 'node:http'
import { CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../../engine/exchange.ts'
import {
  FieldStore,
  HAS_DATE,
  HAS_LENGTH,
  lastRenderedFields,
  NOT_SIMPLE,
  renderFieldObject,
  renderStoredFields,
  type StoredFields,
  storeField,
} from './fields.ts'
import { parseInterim } from './interim.ts'
import type { Body, Encoding, NodeResponse, WriteCallback } from './internals.ts'
import { kCorked, kOutHeaders, kUniqueHeaders } from './internals.ts'
import type { MessagePair } from './message-pair.ts'
import { HEAD_RENDERED, HEAD_SIMPLE, HEAD_UNDECIDED } from './message-pair.ts'
import { kMessagePair } from './symbols.ts'

type OurResponse = NodeResponse & { [kMessagePair]?: MessagePair; statusMessage: string }

const prototype = http.ServerResponse.prototype as unknown as OurResponse

// Whoever has patched the prototype before us is part of these, and so stays on the path.
const original = {
  end: prototype.end as (...args: unknown[]) => OurResponse,
  writeHead: prototype.writeHead as (...args: unknown[]) => OurResponse,
  implicitHeader: prototype._implicitHeader,
  storeHeader: prototype._storeHeader,
  send: prototype._send,
  writeRaw: prototype._writeRaw,
  finish: prototype._finish,
  uncork: prototype.uncork,
  setHeader: prototype.setHeader as (name: unknown, value: unknown) => OurResponse,
}

/** A head of ours, before the fields: any text that is true, for those who look whether it was sent. */
const RESPONSE_LINE = 'HTTP/1.1 '

const StoredFieldsConstructor = FieldStore as unknown as new () => StoredFields

let installed = false

/**
 * Somebody (a tracer loaded with --import) has replaced node's methods before us. Theirs are then what we fall back to,
 * and no answer may go past them.
 */
let isPatchedBefore = false

/** Replaces the methods; called once, before the application loads. */
export function installResponseMethods(): void {
  if (installed) return
  installed = true
  isPatchedBefore = isPatched()
  const hadWriteHeader = Object.hasOwn(prototype, 'writeHeader')
  Object.assign(prototype, {
    ...{ end, writeHead, setHeader, uncork },
    ...{ _storeHeader, _send, _writeRaw, _finish },
  })
  if (hadWriteHeader) Object.assign(prototype, { writeHeader: writeHead })
}

/** Node's own `end`, `write` and the like are on the parent's prototype, and its `writeHead` refuses a second head. */
function isPatched(): boolean {
  const inherited = ['end', 'write', 'setHeader', '_send', '_writeRaw', '_storeHeader']
  if (inherited.some((name) => Object.hasOwn(prototype, name))) return true
  return !String(original.writeHead).includes('ERR_HTTP_HEADERS_SENT')
}

/** Nothing that takes part in a simple answer has been replaced, on the instance or on a prototype. */
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

/** Answers with one command; false when node's own method has to decide. */
function endSimply(
  res: OurResponse,
  pair: MessagePair,
  chunk: string | Uint8Array | undefined,
): boolean {
  if (!hasOriginalMethods(res) || pair.socket.destroyed) return false
  if (pair.headState === HEAD_RENDERED) return false
  if (pair.headState === HEAD_UNDECIDED) {
    if (res._header || !composeSimpleHead(res, pair, res.statusCode, undefined)) return false
    // Unlike a head that stands already, this one can still tell the length.
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
  // In chunks, what follows the head is node's to decide; it is rare, as an explicit head has its length mostly.
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
  const before = this[kOutHeaders] as StoredFields | null
  const map = before ?? new StoredFieldsConstructor()
  if (isPatchedBefore || !storeField(map, name, value)) {
    this[kMessagePair].needsNodeHead = true
    return original.setHeader.call(this, name, value)
  }
  if (before === null) this[kOutHeaders] = map
  return this
}

function endByNode(
  res: OurResponse,
  pair: MessagePair,
  chunk: unknown,
  encoding: unknown,
  callback: unknown,
): OurResponse {
  if (res.finished || res.destroyed) return original.end.call(res, chunk, encoding, callback)
  // Node passes its 'finish' to `_send` only while it believes that the head is still to go.
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
    if (composeSimpleHead(this, pair, status as number, object, isText ? reason : undefined))
      return this
  }
  return original.writeHead.call(this, status, reason, fields)
}

/** Decides the head without rendering what the engine adds; false when it is not simple, and nothing was changed. */
function composeSimpleHead(
  res: OurResponse,
  pair: MessagePair,
  given: number,
  object: unknown,
  givenReason?: string,
): boolean {
  // As node: what a program has put there may be a text or a fraction.
  const status = given | 0
  if (!(status >= 200 && status <= 999) || res[kUniqueHeaders] || pair.needsNodeHead) return false
  if (res.maxRequestsOnConnectionReached) return false
  if (res._maxRequestsPerSocket > 0 || res._removedTE || res.strictContentLength) return false
  const map = res[kOutHeaders] as StoredFields | null
  const has =
    map === null ? renderHeadFields(object) : object ? NOT_SIMPLE : renderStoredFields(map)
  if (has === NOT_SIMPLE) return false
  const reason = givenReason ?? (res.statusMessage || STATUS_CODES[status] || 'unknown')
  if (res.statusMessage && !isPlainReason(res.statusMessage)) return false

  // To HTTP/1.0 node tells no length that the program has not told: such an answer ends with the connection.
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

function renderHeadFields(object: unknown): number {
  if (object === undefined || object === null) return renderFieldObject(NO_FIELDS)
  if (typeof object !== 'object' || Array.isArray(object)) return NOT_SIMPLE
  return renderFieldObject(object as Record<string, unknown>)
}

const NO_FIELDS: Record<string, unknown> = {}

function isPlainReason(reason: string): boolean {
  return !UNSAFE_REASON.test(reason)
}

/** As with values of fields, letters beyond ASCII go in one of two encodings. */
const UNSAFE_REASON = /[^\t\x20-\x7e]/

function _storeHeader(this: OurResponse, firstLine: string, fields: unknown): void {
  const pair = this[kMessagePair]
  original.storeHeader.call(this, firstLine, fields)
  if (pair === undefined) return
  pair.headState = HEAD_RENDERED
  // The engine frames: with this field false node hands the body over as it is.
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

/** The engine frames the chunks, so what node would gather behind a cork is gathered by the call. */
function uncork(this: OurResponse): void {
  original.uncork.call(this)
  const pair = this[kMessagePair]
  if (pair !== undefined && !pair.isEnding && !this[kCorked]) pair.flushCorked()
}

/** Called by node's `end` when all is handed over; also by one that was called past ours, on the parent's prototype. */
function _finish(this: OurResponse): void {
  original.finish.call(this)
  const pair = this[kMessagePair]
  if (pair !== undefined && !pair.isResponseEnded && !pair.isEnding) pair.completeAfterNodeEnd()
}

/** Node's 1xx methods write their head as text. */
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
  if (interim !== 'part') pair.exchange.inform(interim.status, interim.reason, interim.fields)
  if (callback) pair.callAfterWrite(callback)
  return true
}
