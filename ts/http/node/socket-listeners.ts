/**
 * The listeners that a server adds to its sockets. Packages look for some of them by the names that
 * node gives them.
 */
import type { Socket } from 'node:net'
import { badRequestText } from './bad-request-text.ts'
import { kIsStream } from './lazy-stream.ts'
import type { ServerSocket } from './server-socket.ts'
import { kMessagePair } from './symbols.ts'

/**
 * Emits 'timeout' on the request, the response and the server. Destroys the socket if none of them
 * has a listener.
 */
export function onTimeout(this: ServerSocket): void {
  const request = this[kMessagePair]?.req
  const handled = [
    request !== undefined && !request.complete && request.emit('timeout', this),
    this._httpMessage?.emit('timeout', this),
    this.server.emit('timeout', this),
  ]
  if (!handled.some(Boolean)) this.destroy()
}

/**
 * Handles an error that the application emits on the socket itself. The engine reports its errors
 * in another way.
 */
export function onError(this: ServerSocket, error: NodeJS.ErrnoException): void {
  detachErrorListeners(this)
  if (this.server.emit('clientError', error, this)) return
  if (this.writable && this._httpMessage?._headerSent !== true) {
    this.write(badRequestText(error.code))
  }
  this.destroy(error)
}

/**
 * Removes the server's own 'error' listener, since the server handles the error. Listeners of the
 * application stay and get later errors.
 */
export function detachErrorListeners(socket: Socket): void {
  // Node declares listeners as `Function`, which `removeListener` does not take.
  const listeners = socket.listeners('error') as ((error: Error) => void)[]
  for (const listener of listeners) {
    // The first is node's own listener, the second is ours.
    const isOfServer = listener.name === 'socketOnError' || listener === onError
    if (isOfServer) socket.removeListener('error', listener)
  }
  if (!listeners.includes(ignoreHandledError)) socket.on('error', ignoreHandledError)
}

/**
 * Does nothing: the server has handled the error. Without any 'error' listener the process would
 * exit.
 */
function ignoreHandledError(): void {}

/**
 * Does nothing, since these sockets are half-open. Node has such a listener, which `listenerCount`
 * counts.
 */
export function onReadableStreamEnd(): void {}

/**
 * Emits 'connect' for a new listener of it. A TLS library takes a socket without a handle for one
 * that is still connecting, and waits for this event.
 */
export function onNewListener(this: ServerSocket, event: string | symbol): void {
  if (event === 'connect') setImmediate(() => this.emit('connect'))
}

/**
 * Pauses the socket, as node does while the application reads a body too slowly. Few sockets have a
 * listener that would notice.
 */
export function pauseInput(socket: ServerSocket): void {
  if (socket[kIsStream] && socket.listenerCount('pause') > 0) socket.pause()
}

/** Resumes a socket that `pauseInput` has paused. */
export function resumeInput(socket: ServerSocket): void {
  if (socket[kIsStream] && socket.isPaused()) socket.resume()
}

/** Destroys the request in flight: the connection has closed. */
export function abortRequest(this: ServerSocket): void {
  this[kMessagePair]?.abortRequest()
}

/** Emits 'close' on the response in flight: the connection has closed. */
export function abortResponse(this: ServerSocket): void {
  this[kMessagePair]?.abortResponse()
}
