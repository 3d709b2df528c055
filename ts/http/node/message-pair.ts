/**
 * A request and its response, tied to one exchange of the engine. It decides the head of the
 * response, passes its body on, and emits the life-cycle events in node's order.
 */
import { channel } from 'node:diagnostics_channel'
import { abandonHandler } from '../../engine/background-work.ts'
import type { Exchange, ExchangeOwner, Fields } from '../../engine/exchange.ts'
import { CHUNKED, CHUNKED_SILENT, CLOSE, NO_BODY } from '../../engine/exchange.ts'
import { CorkedWrites, MERGES_CORKED_WRITES, MERGES_WRITES_OF_A_TICK } from './cork.ts'
import { connectionReset, invalidEndOfMessage, sendServerError, streamDestroyed } from './errors.ts'
import { startIdleTimeout } from './idle-timeout.ts'
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
import { closeSilently, isBodyRead } from './request.ts'
import { HEAD_SIMPLE, HEAD_UNDECIDED, parseRenderedHead } from './response-head.ts'
import type { ServerSocket } from './server-socket.ts'
import { showUntilEnd } from './shown-parser.ts'
import { closeSocket, failSocket } from './socket.ts'
import { pauseInput, resumeInput } from './socket-listeners.ts'
import { type AttachedPair, kInputRefused, kLastResponseGiven, kMessagePair } from './symbols.ts'
import { WholeBody } from './whole-body.ts'

const responseFinish = channel('http.server.response.finish')

/** The state of one request and its response. */
export class MessagePair implements ExchangeOwner, AttachedPair {
  readonly exchange: Exchange
  readonly socket: ServerSocket
  readonly req: NodeRequest
  readonly res: NodeResponse
  /** HEAD_UNDECIDED, HEAD_SIMPLE or HEAD_RENDERED. */
  headState = HEAD_UNDECIDED
  status = 0
  /** The reason phrase; undefined for the standard phrase of the status code. */
  reason: string | undefined = undefined
  fields: Fields = ''
  /** Flags of `engine/exchange.ts` for the head. */
  flags = 0
  /** A header field has been set that only node's own code can render. */
  needsNodeHead = false
  /** The response has Transfer-Encoding: chunked. The engine frames the chunks. */
  isChunked = false
  isHeadSent = false
  /** Node's own `end` method is running. */
  isEnding = false
  /** The engine has the whole response. 'finish' may not have been emitted yet. */
  isResponseEnded = false
  /** 'finish' has been emitted, or the connection has closed before it. */
  isSettled = false
  isInHandler = true
  finishesOnReturn = false
  /** The reading of a request body that arrived with the head. */
  #arrivedBody: WholeBody | undefined
  /** Bytes pushed beyond the request's high-water mark. The next read returns their credit. */
  #unconsumedBytes = 0
  /** The callback by which node's `end` emits 'finish'. */
  #finishCallback: WriteCallback
  /** The body that node's `end` has written, if nothing was written before. */
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

  /** Whether the application reads the body. The engine discards a body that is not read. */
  get readsBody(): boolean {
    return isBodyRead(this.req) && !this.req._dumped
  }

  /** Called by the request's `_read`. */
  readBody(): void {
    if (this.exchange.bodyKind !== 2) return this.#pushBody()
    const credit = this.#unconsumedBytes
    this.#unconsumedBytes = 0
    if (credit === 0) return
    resumeInput(this.socket)
    this.exchange.consume(credit)
  }

  #pushBody(): void {
    const { exchange, req } = this
    if (exchange.bodyKind === 2) return
    this.#arrivedBody ??= new WholeBody()
    this.#arrivedBody.push(req, exchange.body)
  }

  onWholeBodyEnd(): void {
    this.#arrivedBody ??= new WholeBody()
    this.#arrivedBody.onJobsDone(this.req)
  }

  onData(chunk: Buffer): void {
    const { req, socket } = this
    // As on node, nothing is read from a socket that the application has destroyed.
    if (socket.destroyed) return
    if (socket.timeout) socket._unrefTimer()
    // As with node's parser, a dumped body is discarded, and a body that is not read stops the
    // client.
    if (req._dumped || req.destroyed || req.push(chunk)) return this.exchange.consume(chunk.length)
    this.#unconsumedBytes += chunk.length
    pauseInput(socket)
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
    if (this.isResponseEnded) return this.finish()
    const { res } = this
    if (!res[kNeedDrain]) return
    res[kNeedDrain] = false
    res.emit('drain')
  }

  onAborted(): void {
    abandonHandler(() => this.res.writableEnded)
    // Node's parser reports an input that ends within a message.
    const { server, destroyed, [kInputRefused]: isRefused } = this.socket
    if (this.exchange.bodyKind === 2 && !this.req.complete && !destroyed && !isRefused) {
      const error = invalidEndOfMessage()
      if (!server.emit('clientError', error, this.socket)) return failSocket(this.socket, error)
    }
    // As in node, the socket's 'close' aborts the request and the response.
    closeSocket(this.socket)
  }

  onThrown(): void {
    sendServerError(this.res)
  }

  /** Takes the data that node's `_send` would write, without chunk framing. */
  send(data: Body, encoding: Encoding, callback: WriteCallback): boolean {
    const { socket } = this
    if (socket.destroyed) return false
    if (socket.timeout) socket._unrefTimer()
    // With an Expect field node flushes the head at once, before the framing of the body is known.
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
    const hasRoom = data.length === 0 || this.exchange.write(data, encoding ?? 'utf8')
    if (!this.isEnding && callback) this.callAfterWrite(callback)
    return hasRoom
  }

  #isCorked(): boolean {
    const depth = this.res[kCorked]
    return typeof depth === 'number' && depth > 0 && (MERGES_WRITES_OF_A_TICK || this.isHeadSent)
  }

  #holdWrite(data: Body, encoding: Encoding, callback: WriteCallback): boolean {
    this.#corkedWrites ??= new CorkedWrites()
    if (this.isEnding) this.#finishCallback = callback
    if (data.length > 0) this.#corkedWrites.add(data, encoding, this.isEnding ? null : callback)
    else if (!this.isEnding && callback) this.callAfterWrite(callback)
    return this.#corkedWrites.length < this.socket.writableHighWaterMark
  }

  /** Writes the corked data as one chunk. Called after node's `uncork` or `end`. */
  flushCorked(): void {
    const corked = this.#corkedWrites
    if (corked === undefined || this.socket.destroyed) return
    // The head is sent even if only empty strings were written.
    if (!this.isHeadSent) this.#sendHead()
    if (corked.length === 0) return
    const callbacks = corked.callbacks()
    const hasRoom = this.exchange.write(corked.takeMerged())
    for (const callback of callbacks) if (callback) this.callAfterWrite(callback)
    const { res } = this
    if (!hasRoom || this.isEnding || !res[kNeedDrain]) return
    res[kNeedDrain] = false
    res.emit('drain')
  }

  /** Ends the response at the engine. Called after node's `end`. */
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
    // Without a body node calls back for each write in a job of its own. Those jobs run before
    // 'finish'.
    if (res._hasBody) this.scheduleFinish()
    else this.#finishOnNextTick()
  }

  /**
   * Ends the response after the application has called node's `end` directly, past our method. The
   * last write callback is then the one that emits 'finish'.
   */
  completeAfterNodeEnd(): void {
    this.#finishCallback = this.#writeCallbacks?.pop() ?? ignore
    this.completeResponse()
  }

  /**
   * Schedules 'finish', which node never emits within `end`. While the handler runs, it follows
   * the handler's return, before the jobs that the handler has queued, as in node. If the request
   * has listeners or is about to flow, its events come first, so 'finish' waits for a tick.
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

  /** Emits 'finish' and does the rest that node does once it has written a response. */
  finish(): void {
    if (this.isSettled) return
    // The engine takes the last part of a long response later, and 'finish' waits for that.
    if (this.exchange.isFull) return
    this.isSettled = true
    const { req, res, socket } = this
    detachSignal(req)
    // As on node, `res.socket` is still set while these callbacks run.
    this.#runWriteCallbacks()
    if (nodeMajor >= 24) {
      res[kWritableFinished] = true
      runEndCallbacks(res)
    }
    if (responseFinish.hasSubscribers) {
      responseFinish.publish({ request: req, response: res, socket, server: socket.server })
    }
    if (!isBodyRead(req)) this.#discardBody()
    if (!req._readableState.endEmitted) showUntilEnd(req, socket)
    socket._httpMessage = null
    socket[kMessagePair] = undefined
    res.socket = null
    if (res._last) socket[kLastResponseGiven] = true
    if (socket.timeout) startIdleTimeout(socket)
    if (this.#finishCallback) {
      process.nextTick(emitClose, res)
      this.#finishCallback(null)
      return
    }
    if (res._eventsCount === 0 && res.emit === originalEmit) {
      // Without listeners only the state is set that a 'close' listener would find.
      res.destroyed = true
      res._closed = true
      return
    }
    process.nextTick(emitClose, res)
    res.emit('finish')
  }

  /** Destroys the request, since the connection has closed before the response was sent. */
  abortRequest(): void {
    if (this.isSettled) return
    // As on node, the application can still read what has arrived.
    this.#pushBody()
    this.req.destroy(connectionReset())
  }

  /** Emits 'close' on the response, as node does, and fails the pending callbacks of writes. */
  abortResponse(): void {
    if (this.isSettled) return
    this.isSettled = true
    emitClose(this.res)
    const callbacks = [...(this.#writeCallbacks ?? []), ...(this.#corkedWrites?.callbacks() ?? [])]
    this.#writeCallbacks = undefined
    this.#corkedWrites = undefined
    const error = streamDestroyed('write')
    for (const callback of callbacks) callback?.(error)
    // Before Node 24 the callback of `end` is a listener of 'finish', which is not emitted.
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
   * Fills `status`, `reason`, `fields` and `flags` from a head that node has rendered. `first` is
   * the data that node would write together with the head.
   */
  #composeHead(first?: Body, encoding?: Encoding): void {
    const { res } = this
    this.isHeadSent = true
    res._headerSent = true
    if (this.headState === HEAD_SIMPLE) {
      if (this.isChunked) this.flags |= CHUNKED
      return
    }
    // Node writes a chunked head together with the length of the first chunk, which is Latin-1.
    const head = parseRenderedHead(res._header ?? '', this.isChunked ? undefined : first, encoding)
    this.status = head.status
    this.reason = head.reason
    this.fields = head.fields
    this.flags = this.isChunked ? CHUNKED_SILENT : 0
    if (res._last) this.flags |= CLOSE
    if (!res._hasBody) this.flags |= NO_BODY
  }

  /** Calls back after earlier writes and before 'finish'. */
  callAfterWrite(callback: WriteCallback): void {
    if (this.#writeCallbacks !== undefined) {
      this.#writeCallbacks.push(callback)
      return
    }
    this.#writeCallbacks = [callback]
    process.nextTick(runWriteCallbacks, this)
  }

  /** Calls the callbacks of writes, unless the engine has no room: then they wait for `onDrain`. */
  runWriteCallbacks(): void {
    if (!this.isSettled && !this.exchange.isFull) this.#runWriteCallbacks()
  }

  #runWriteCallbacks(): void {
    const callbacks = this.#writeCallbacks
    if (callbacks === undefined) return
    this.#writeCallbacks = undefined
    for (const callback of callbacks) callback?.(null)
  }

  /** Discards a body that the application has not begun to read. */
  #discardBody(): void {
    const { req, exchange } = this
    const hasArrived = exchange.bodyKind !== 2 || req.complete
    if (hasArrived && req._eventsCount === 0 && req.emit === originalEmit) {
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
