/** What node's own listeners on a server's socket do, under their names: packages look for some of them. */
import type { Socket } from 'node:net'
import { badRequestText } from './bad-request-text.ts'
import type { ServerSocket } from './socket.ts'
import { kMessagePair } from './symbols.ts'

/** Whoever listens to 'timeout' decides, else the connection ends. */
export function onTimeout(this: ServerSocket): void {
  const request = this[kMessagePair]?.req
  const heard = [
    request !== undefined && !request.complete && request.emit('timeout', this),
    this._httpMessage?.emit('timeout', this),
    this.server.emit('timeout', this),
  ]
  if (!heard.some(Boolean)) this.destroy()
}

/** Of errors that a program emits itself: the engine tells of its own otherwise. */
export function onError(this: ServerSocket, error: NodeJS.ErrnoException): void {
  if (this.server.emit('clientError', error, this)) return
  if (this.writable && this._httpMessage?._headerSent !== true)
    this.write(badRequestText(error.code))
  this.destroy(error)
}

/** From here on the socket's errors are for whoever else follows its life: the server has heard of them. */
export function detachErrorListeners(socket: Socket): void {
  for (const listener of socket.listeners('error') as ((error: Error) => void)[]) {
    // Node's own, and ours in its place.
    const isServers = listener.name === 'socketOnError' || listener === onError
    if (isServers) socket.removeListener('error', listener)
  }
  socket.on('error', ignoreReportedError)
}

/** An error that the server has heard of is no reason to end a process. */
function ignoreReportedError(): void {}

/** With `allowHalfOpen` there is nothing to do: it is there to be counted. */
export function onReadableStreamEnd(): void {}

/**
 * Who speaks TLS over a socket without a handle takes it for one that is still connecting, and waits for 'connect': a
 * socket that a program has taken over says so to whoever asks.
 */
export function onNewListener(this: ServerSocket, event: string | symbol): void {
  if (event === 'connect') setImmediate(() => this.emit('connect'))
}

export function abortRequest(this: ServerSocket): void {
  this[kMessagePair]?.abortRequest()
}

export function abortResponse(this: ServerSocket): void {
  this[kMessagePair]?.abortResponse()
}
