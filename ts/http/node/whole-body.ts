/**
 * Feeds a request with a body that arrived together with its head. Such a body is pushed when the
 * application begins to read, and its end when node's parser would report it.
 */
import { AsyncResource } from 'node:async_hooks'
import http from 'node:http'
import type { NodeRequest } from './internals.ts'

export class WholeBody {
  #isPushed = false
  /** The handler, or the nextTick and promise jobs of it, may still run. */
  #areJobsPending = true
  /** The async context of the reader, in which to push the end once these jobs have run. */
  #endScope: AsyncResource | undefined

  /** Pushes the body, or the end of an empty one. Later calls do nothing. */
  push(request: NodeRequest, body: Buffer | undefined): void {
    if (this.#isPushed) return
    this.#isPushed = true
    const isFlowing = body === undefined ? endFlowing(request) : pushToFlowing(request, body)
    if (body !== undefined && !isFlowing) request.push(body)
    request.complete = true
    if (body !== undefined && this.#areJobsPending) {
      this.#endScope = new AsyncResource('MONOCEROSBODYEND')
    } else if (body !== undefined && isFlowing) {
      process.nextTick(endAfterBody, request)
    } else if (!isFlowing) {
      request.push(null)
    }
  }

  /**
   * Pushes the end of a body that the application reads since its handler, or since a job of it.
   * Node's parser runs these jobs between the body and its end.
   */
  onJobsDone(request: NodeRequest): void {
    this.#areJobsPending = false
    if (!request.destroyed) this.#endScope?.runInAsyncScope(endAfterBody, undefined, request)
  }
}

const originalPush = http.IncomingMessage.prototype.push

/**
 * Pushes a whole body to a flowing stream within its `_read`. Returns false if the stream is in
 * another state. The stream looks at its buffer when `_read` returns, so this saves two further
 * ticks that `push` would schedule for nothing.
 */
function pushToFlowing(request: NodeRequest, body: Buffer): boolean {
  if (!isFlowingInRead(request)) return false
  const state = request._readableState
  state.buffer.push(body)
  state.length += body.length
  return true
}

/** Ends an empty flowing stream within its `_read`. Returns false if it is in another state. */
function endFlowing(request: NodeRequest): boolean {
  if (!isFlowingInRead(request)) return false
  const state = request._readableState
  state.reading = false
  state.ended = true
  return true
}

function isFlowingInRead(request: NodeRequest): boolean {
  const state = request._readableState
  const isFlowing = state.flowing === true && state.reading && state.sync && state.length === 0
  return isFlowing && !state.decoder && request.push === originalPush
}

/**
 * Ends a stream that got its whole body before, in the steps of node's `endReadableNT`. If the
 * stream does not flow, or 'readable' has a listener, it pushes the end as node's parser does.
 */
function endAfterBody(request: NodeRequest): void {
  const state = request._readableState
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
