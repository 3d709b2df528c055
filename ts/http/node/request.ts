/**
 * Creates node's own `IncomingMessage` from an exchange and feeds it with the body. `_read` is
 * replaced once on node's prototype; for a request that is not ours it calls node's method.
 */
import type { Exchange } from '../../engine/exchange.ts'
import type { NodeRequest, NodeRequestConstructor } from './internals.ts'
import { nodeMajor, requestPrototype } from './internals.ts'
import { applyRootPath } from './root-path.ts'
import type { ServerSocket } from './server-socket.ts'
import type { AttachedPair } from './symbols.ts'
import { kMessagePair } from './symbols.ts'

export type OurRequest = NodeRequest & { [kMessagePair]?: AttachedPair }

/** Creates the request of an exchange. Its body is read when the application asks for it. */
export function createRequest(
  Request: NodeRequestConstructor,
  socket: ServerSocket,
  exchange: Exchange,
): OurRequest {
  const request: OurRequest = new Request(socket)
  request.httpVersionMajor = 1
  request.httpVersionMinor = exchange.httpVersionMinor
  request.httpVersion = exchange.httpVersionMinor === 0 ? '1.0' : '1.1'
  request.method = exchange.method
  request.url = exchange.url
  request.upgrade = false
  if (exchange.rootPath !== '') applyRootPath(request, exchange.rootPath)
  const lines = exchange.rawHeaders()
  // Node limits the fields in `headers` to `maxHeadersCount`; `rawHeaders` has all of them. A field
  // is two strings.
  const most = socket.server.maxHeadersCount
  request._addHeaderLines(lines, most ? Math.min(lines.length, most * 2) : lines.length)
  return request
}

let isInstalled = false
const originalRead = requestPrototype._read

/** Replaces `_read` of node's requests. Called once, before the application loads. */
export function installRequestMethods(): void {
  if (isInstalled) return
  isInstalled = true
  requestPrototype._read = function _read(this: OurRequest, size: number) {
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

/**
 * Whether the application reads the body, or starts to with the next tick. Node checks the same
 * before it discards a body.
 */
export function isBodyRead({ _consuming, _readableState: state }: NodeRequest): boolean {
  return _consuming || state.resumeScheduled || state.readableListening
}

/**
 * Ends and closes a complete request without listeners, and so without the ticks and events for
 * them.
 */
export function closeSilently(request: NodeRequest): void {
  request._dumped = true
  if (nodeMajor >= 24) {
    request._dumpAndCloseReadable()
    return
  }
  const state = request._readableState
  state.ended = true
  state.endEmitted = true
  state.destroyed = true
  state.closed = true
  state.closeEmitted = true
}
