/**
 * The request side: node's own `IncomingMessage`, fed from an exchange. `_read` is replaced once on its prototype and
 * falls back to node's for every message that is not ours.
 */
import http from 'node:http'
import type { Exchange } from '../../engine/exchange.ts'
import type { RequestConstructor } from './express.ts'
import type { NodeRequest, ReadableState } from './internals.ts'
import { nodeMajor } from './internals.ts'
import { applyRootPath } from './root-path.ts'
import type { ServerSocket } from './socket.ts'
import type { AttachedPair } from './symbols.ts'
import { kMessagePair } from './symbols.ts'

type OurRequest = NodeRequest & { [kMessagePair]?: AttachedPair }

/** Makes the request of an exchange; its body is read when somebody asks for it. */
export function createRequest(
  Request: RequestConstructor,
  socket: ServerSocket,
  exchange: Exchange,
): NodeRequest {
  const request = new Request(socket) as unknown as NodeRequest
  request.httpVersionMajor = 1
  request.httpVersionMinor = exchange.httpVersionMinor
  request.httpVersion = exchange.httpVersionMinor === 0 ? '1.0' : '1.1'
  request.method = exchange.method
  request.url = exchange.url
  request.upgrade = false
  if (exchange.prefix !== '') applyRootPath(request, exchange.prefix)
  const lines = exchange.rawHeaders()
  // Node counts the texts of the fields that it shows, and `rawHeaders` has them all.
  const most = (socket.server as http.Server).maxHeadersCount
  request._addHeaderLines(lines, most ? Math.min(lines.length, most * 2) : lines.length)
  return request
}

let installed = false
const originalRead = (http.IncomingMessage.prototype as unknown as NodeRequest)._read

/** Replaces `_read`; called once, before the application loads. */
export function installRequestMethods(): void {
  if (installed) return
  installed = true
  const prototype = http.IncomingMessage.prototype as unknown as NodeRequest
  prototype._read = function _read(this: OurRequest, size: number) {
    const pair = this[kMessagePair]
    if (pair === undefined) {
      originalRead.call(this, size)
      return
    }
    if (!this._consuming) {
      this._readableState.readingMore = false
      this._consuming = true
    }
    pair.readBody()
  }
}

/** Whether somebody has begun to read a body, or begins to with the next tick: node asks that before it throws one away. */
export function isBodyRead({ _consuming, _readableState: state }: NodeRequest): boolean {
  return _consuming || state.resumeScheduled || state.readableListening
}

const originalPush = http.IncomingMessage.prototype.push

/**
 * Gives a whole body, or the end of none, to a stream that flows and is just reading: it looks at what is there as soon
 * as `_read` returns. `push` would have it looked at twice more, in ticks of their own that find nothing to do.
 */
export function pushToFlowing(request: NodeRequest, body: Buffer | undefined): boolean {
  const state = request._readableState
  const flows = state.flowing === true && state.reading && state.sync && state.length === 0
  if (!flows || state.decoder || request.push !== originalPush) return false
  if (body !== undefined && body.length > 0) {
    state.buffer.push(body)
    state.length += body.length
    // A program that pauses with the body in hand is not to hear of its end yet, and a stream that knows its end would
    // schedule it with each of two further looks.
    process.nextTick(endFlowing, request, state)
    return true
  }
  state.reading = false
  state.ended = true
  return true
}

/**
 * The end of a stream that had its whole body in the tick before, as node's `endReadableNT` has it; if it flows no more,
 * or nobody but node knows what is to be done, the end is pushed as node's parser does.
 */
function endFlowing(request: NodeRequest, state: ReadableState): void {
  const isRead = state.flowing === true && state.length === 0 && !state.endEmitted
  if (!isRead || state.destroyed || state.errored || request._events.readable !== undefined) {
    request.push(null)
    return
  }
  state.reading = false
  state.ended = true
  state.endEmitted = true
  request.emit('end')
  if (state.autoDestroy) request.destroy()
}

/** A finished request that nobody listens to: its end and close without the ticks that only listeners would notice. */
export function closeSilently(request: NodeRequest): void {
  request._dumped = true
  if (nodeMajor >= 24) {
    ;(request as unknown as { _dumpAndCloseReadable(): void })._dumpAndCloseReadable()
    return
  }
  const state = request._readableState
  state.ended = true
  state.endEmitted = true
  state.destroyed = true
  state.closed = true
  state.closeEmitted = true
}
