/**
 * One exchange between the engine and a pair of node's request and response: what is decided of the answer so far, and
 * the life-cycle events in node's order.
 */
import { channel } from 'node:diagnostics_channel'
import type { Exchange, ExchangeOwner, Fields } from '../../engine/exchange.ts'
import { CHUNKED, CHUNKED_SILENT, CLOSE, NO_BODY } from '../../engine/exchange.ts'
import { CorkedWrites, MERGES_CORKED_WRITES, MERGES_WRITES_OF_A_TICK } from './cork.ts'
import { connectionReset, invalidEndOfMessage, sendServerError, streamDestroyed } from './errors.ts'
import type { Body, Encoding, NodeRequest, NodeResponse, WriteCallback } from './internals.ts'
import {
  detachSignal,
  kCorked,
  kNeedDrain,
  kWritableFinished,
  nodeMajor,
  originalEmit,
  runEndCallbacks,
} from './internals.ts'
import { closeSilently, isBodyRead, pushToFlowing } from './request.ts'
import { closeSocket, failSocket, type ServerSocket } from './socket.ts'
import { type AttachedPair, kInputRefused, kLastResponseGiven, kMessagePair } from './symbols.ts'

/** Nothing is decided of the head. */
export const HEAD_UNDECIDED = 0
/** The head is in `status`, `reason`, `fields` and `flags`. */
export const HEAD_SIMPLE = 1
/** Node has rendered the head into `res._header`. */
export const HEAD_RENDERED = 2

const STATUS_OFFSET = 'HTTP/1.1 '.length

const responseFinish = channel('http.server.response.finish')

export class MessagePair implements ExchangeOwner, AttachedPair {
  readonly exchange: Exchange
  readonly socket: ServerSocket
  readonly req: NodeRequest
  readonly res: NodeResponse
  /** How far the head is: UNDECIDED, SIMPLE or RENDERED. */
  headState = HEAD_UNDECIDED
  status = 0
  /** The status code's own phrase where it is undefined. */
  reason: string | undefined = undefined
  fields: Fields = ''
  flags = 0
  /** A field has been set that node has to render. */
  needsNodeHead = false
  /** The body goes in chunks; the engine frames them. */
  isChunked = false
  isHeadSent = false
  /** Node's own `end` is running. */
  isEnding = false
  /** The answer is complete, for the engine; 'finish' is still to come. */
  isResponseEnded = false
  /** 'finish' has been emitted, or the client has gone. */
  isSettled = false
  /** The handler is running. */
  isInHandler = true
  /** 'finish' follows when the handler returns. */
  finishesOnReturn = false
  #isBodyPushed = false
  #unconsumedBytes = 0
  #finishCallback: WriteCallback
  #wholeBody: Body | undefined
  #wholeBodyEncoding: Encoding
  #writeCallbacks: WriteCallback[] | undefined
  #corkedWrites: CorkedWrites | undefined

  constructor(exchange: Exchange, socket: ServerSocket, req: NodeRequest, res: NodeResponse) {
    this.exchange = exchange
    this.socket = socket
    this.req = req
    this.res = res
  }

  get reads(): boolean {
    return isBodyRead(this.req) && !this.req._dumped
  }

  /** The application wants more of the request's body. */
  readBody(): void {
    const { exchange } = this
    if (exchange.bodyKind === 2) {
      const credit = this.#unconsumedBytes
      this.#unconsumedBytes = 0
      if (credit > 0) this.exchange.consume(credit)
      return
    }
    this.#pushBody()
  }

  /** Hands over a body that has arrived with its head, or the end of none. */
  #pushBody(): void {
    const { exchange, req } = this
    if (this.#isBodyPushed || exchange.bodyKind === 2) return
    this.#isBodyPushed = true
    if (pushToFlowing(req, exchange.body)) {
      req.complete = true
      return
    }
    if (exchange.body !== undefined) req.push(exchange.body)
    req.complete = true
    req.push(null)
  }

  onData(chunk: Buffer): void {
    const { req, socket } = this
    // Node reads no more of a socket that the program has destroyed.
    if (socket.destroyed) return
    if (socket.timeout) socket._unrefTimer()
    // Like node's parser: a body that nobody wants is thrown away, and one that is not read is not asked for further.
    if (req._dumped || req.destroyed || req.push(chunk)) this.exchange.consume(chunk.length)
    else this.#unconsumedBytes += chunk.length
  }

  onEnd(rawTrailers: string[]): void {
    const { req } = this
    req.complete = true
    if (rawTrailers.length > 0) req._addHeaderLines(rawTrailers, rawTrailers.length)
    req.push(null)
  }

  onDrain(): void {
    if (this.isSettled) return
    this.#runWriteCallbacks()
    if (this.isResponseEnded) {
      this.finish()
      return
    }
    const { res } = this
    if (!res[kNeedDrain]) return
    res[kNeedDrain] = false
    res.emit('drain')
  }

  onAborted(): void {
    const { server } = this.socket
    // Node's parser finds the end of its input in the middle of a message.
    const { destroyed, [kInputRefused]: isRefused } = this.socket
    if (this.exchange.bodyKind === 2 && !this.req.complete && !destroyed && !isRefused) {
      const error = invalidEndOfMessage()
      if (!server.emit('clientError', error, this.socket)) return failSocket(this.socket, error)
    }
    // Everything else follows from the socket's 'close', as in node.
    closeSocket(this.socket)
  }

  onThrown(): void {
    sendServerError(this.res)
  }

  /** Takes what node's `_send` would put on the wire, without chunk framing. */
  send(data: Body, encoding: Encoding, callback: WriteCallback): boolean {
    const { socket } = this
    if (socket.destroyed) return false
    if (socket.timeout) socket._unrefTimer()
    // Node flushes at once where the head has an Expect field, before we know how the body is framed.
    if (this.headState === HEAD_UNDECIDED && data.length === 0) return true
    if (this.isChunked && MERGES_CORKED_WRITES && this.#isCorked()) {
      return this.#holdWrite(data, encoding, callback)
    }
    if (this.isEnding) {
      this.#finishCallback = callback
      if (data.length === 0) return true
      if (!this.isHeadSent && this.#wholeBody === undefined) {
        this.#wholeBody = data
        this.#wholeBodyEncoding = encoding
        return true
      }
    }
    if (!this.isHeadSent) this.#sendHead(data, encoding)
    const room = data.length === 0 || this.exchange.write(data, encoding ?? 'utf8')
    if (!this.isEnding && callback) this.callAfterWrite(callback)
    return room
  }

  #isCorked(): boolean {
    return (this.res[kCorked] as number) > 0 && (MERGES_WRITES_OF_A_TICK || this.isHeadSent)
  }

  #holdWrite(data: Body, encoding: Encoding, callback: WriteCallback): boolean {
    this.#corkedWrites ??= new CorkedWrites()
    if (this.isEnding) this.#finishCallback = callback
    if (data.length > 0) this.#corkedWrites.add(data, encoding, this.isEnding ? null : callback)
    else if (!this.isEnding && callback) this.callAfterWrite(callback)
    return this.#corkedWrites.length < this.socket.writableHighWaterMark
  }

  /** `uncork` has run, or `end`: what was held back goes as one chunk. */
  flushCorked(): void {
    const corked = this.#corkedWrites
    if (corked === undefined || this.socket.destroyed) return
    // The head goes also where nothing but an empty text has been written.
    if (!this.isHeadSent) this.#sendHead()
    if (corked.length === 0) return
    const callbacks = corked.callbacks()
    const room = this.exchange.write(corked.takeMerged())
    for (const callback of callbacks) if (callback) this.callAfterWrite(callback)
    const { res } = this
    if (!room || this.isEnding || !res[kNeedDrain]) return
    res[kNeedDrain] = false
    res.emit('drain')
  }

  /** Node's `end` has run: the answer is complete. */
  completeResponse(): void {
    const { exchange, res } = this
    if (this.socket.destroyed) return
    this.flushCorked()
    const whole = this.#wholeBody
    this.#wholeBody = undefined
    if (this.isHeadSent || this.isChunked) {
      if (!this.isHeadSent) this.#sendHead()
      if (this.isChunked && res._trailer !== '') exchange.trailers(res._trailer)
      exchange.end(whole, this.#wholeBodyEncoding ?? 'utf8')
    } else {
      this.#sendWholeResponse(whole, this.#wholeBodyEncoding)
    }
    // Where there is no body node calls back for each write in a job of its own, and those come first.
    if (res._hasBody) this.scheduleFinish()
    else this.#finishOnNextTick()
  }

  /** Node's `end` has run without ours round it: 'finish' is what it passed last, or comes by itself. */
  completeAfterNodeEnd(): void {
    this.#finishCallback = this.#writeCallbacks?.pop() ?? ignore
    this.completeResponse()
  }

  /**
   * 'finish' is never within `end` itself. While the handler runs it comes right after it, which is before the jobs that
   * the handler has queued, as in node; unless the request is in use, whose events have their place between them.
   */
  scheduleFinish(): void {
    const { req } = this
    const isUsed = req._eventsCount > 0 || req._readableState.resumeScheduled
    if (this.isInHandler && !isUsed && !this.exchange.isFull) {
      this.isResponseEnded = true
      this.finishesOnReturn = true
    } else {
      this.#finishOnNextTick()
    }
  }

  #finishOnNextTick(): void {
    this.isResponseEnded = true
    process.nextTick(finish, this)
  }

  /** What node does when an answer has been handed to the kernel. */
  finish(): void {
    if (this.isSettled) return
    // 'finish' says that the engine has all of the answer: of a long one it takes the last part later.
    if (this.exchange.isFull) return
    this.isSettled = true
    const { req, res, socket } = this
    detachSignal(req)
    // They find the socket as they would on node, where it is still the response's.
    this.#runWriteCallbacks()
    if (nodeMajor >= 24) {
      res[kWritableFinished] = true
      runEndCallbacks(res)
    }
    if (responseFinish.hasSubscribers) {
      responseFinish.publish({ request: req, response: res, socket, server: socket.server })
    }
    if (!isBodyRead(req)) this.#discardBody()
    socket._httpMessage = null
    socket[kMessagePair] = undefined
    res.socket = null
    if (res._last) socket[kLastResponseGiven] = true
    // A timeout that the program set is over with its request; between two the engine keeps the time.
    if (socket.timeout) socket.setTimeout(0)
    if (this.#finishCallback) {
      process.nextTick(emitClose, res)
      this.#finishCallback(null)
      return
    }
    if (res._eventsCount === 0 && res.emit === originalEmit) {
      // Nobody would hear: what the listeners of 'close' would find is all that is left to do.
      res.destroyed = true
      res._closed = true
      return
    }
    process.nextTick(emitClose, res)
    res.emit('finish')
  }

  /** The connection has closed before the answer had gone. */
  abortRequest(): void {
    if (this.isSettled) return
    // What has arrived can still be read out of the request, as on node.
    this.#pushBody()
    this.req.destroy(connectionReset())
  }

  /** As node's listener of the response: 'close', and nothing else. */
  abortResponse(): void {
    if (this.isSettled) return
    this.isSettled = true
    emitClose(this.res)
    const callbacks = [...(this.#writeCallbacks ?? []), ...(this.#corkedWrites?.callbacks() ?? [])]
    this.#writeCallbacks = undefined
    this.#corkedWrites = undefined
    const error = streamDestroyed('write')
    for (const callback of callbacks) callback?.(error)
    // Before Node 24 the callback of `end` is a listener of 'finish', which does not come.
    if (nodeMajor >= 24) this.#finishCallback?.(error)
  }

  #sendHead(first?: Body, encoding?: Encoding): void {
    this.#composeHead(first, encoding)
    this.exchange.head(this.status, this.reason, this.fields, this.flags)
  }

  #sendWholeResponse(body: Body | undefined, encoding: Encoding): void {
    this.#composeHead(body, encoding)
    const { status, reason, fields, flags } = this
    this.exchange.respond(status, reason, fields, flags, body, encoding ?? 'utf8')
  }

  /**
   * Brings what was set aside, or what node has rendered, into the shape of the engine's commands. Node writes the head
   * and a first text as one, and so in the encoding of that text.
   */
  #composeHead(first?: Body, encoding?: Encoding): void {
    const { res } = this
    this.isHeadSent = true
    res._headerSent = true
    if (this.headState === HEAD_SIMPLE) {
      if (this.isChunked) this.flags |= CHUNKED
      return
    }
    // `HTTP/1.1 200 OK\r\nName: value\r\n...\r\n\r\n`. Whatever has been set since is without effect.
    const header = res._header ?? ''
    const end = header.indexOf('\r\n')
    this.status = Number(header.slice(STATUS_OFFSET, STATUS_OFFSET + 3))
    const isUtf8 =
      typeof first === 'string' && (!encoding || encoding === 'utf8') && !this.isChunked
    const written = (text: string) => (isUtf8 ? Buffer.from(text).toString('latin1') : text)
    this.reason = written(header.slice(STATUS_OFFSET + 4, end))
    this.fields = written(header.slice(end + 2, -2))
    this.flags = this.isChunked ? CHUNKED_SILENT : 0
    if (res._last) this.flags |= CLOSE
    if (!res._hasBody) this.flags |= NO_BODY
  }

  /** Calls back behind what has been written before, and ahead of 'finish'. */
  callAfterWrite(callback: WriteCallback): void {
    if (this.#writeCallbacks !== undefined) {
      this.#writeCallbacks.push(callback)
      return
    }
    this.#writeCallbacks = [callback]
    process.nextTick(runWriteCallbacks, this)
  }

  /** A full queue keeps the callbacks until it has drained. */
  runWriteCallbacks(): void {
    if (!this.isSettled && !this.exchange.isFull) this.#runWriteCallbacks()
  }

  #runWriteCallbacks(): void {
    const callbacks = this.#writeCallbacks
    if (callbacks === undefined) return
    this.#writeCallbacks = undefined
    for (const callback of callbacks) callback?.(null)
  }

  /** Lets go of a body that nobody has asked for. */
  #discardBody(): void {
    const { req, exchange } = this
    const arrived = exchange.bodyKind !== 2 || req.complete
    if (arrived && req._eventsCount === 0 && req.emit === originalEmit) {
      closeSilently(req)
      return
    }
    this.#pushBody()
    req._dump()
  }
}

function finish(pair: MessagePair): void {
  pair.finish()
}

function ignore(): void {}

function runWriteCallbacks(pair: MessagePair): void {
  pair.runWriteCallbacks()
}

function emitClose(res: NodeResponse): void {
  if (res._closed) return
  res.destroyed = true
  res._closed = true
  res.emit('close')
}
