/**
 * Responds to input that is no valid request, where 'clientError' has no listener. The text is
 * node's. Node closes the connection at once, and a reset then destroys the response for a client
 * that is still sending. Here the connection is half-closed after the response, and read for a
 * while.
 */
import type { Socket } from 'node:net'
import { badRequestText } from './bad-request-text.ts'
import { socketInternals } from './internals.ts'
import { detachErrorListeners } from './socket-listeners.ts'

/**
 * How long the client may still send bytes, which are discarded, before the connection is closed.
 */
const LINGER_MS = 1_000

/**
 * Sockets that have got the response. The parser reports an error for each further byte of theirs.
 */
const respondedSockets = new WeakSet<Socket>()

/**
 * Sends the response and closes the connection, or destroys the socket if a response can no longer
 * be sent.
 */
export function sendBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (respondedSockets.has(socket)) return
  const isResponseBegun = socketInternals(socket)._httpMessage?._headerSent === true
  const code = error.code ?? ''
  if (isResponseBegun || !socket.writable || !/^HPE_|^ERR_HTTP_/.test(code)) {
    socket.destroy(error)
    return
  }
  if (code === 'HPE_INVALID_EOF_STATE') {
    // The client has ended its side, so it sends nothing that could cause a reset. Node does the
    // same.
    socket.write(badRequestText(code))
    socket.destroy(error)
    return
  }
  respondedSockets.add(socket)
  socket.end(badRequestText(code))
  // Node destroys the socket with the error. Here it is destroyed later, but its 'error' listeners
  // get the error now.
  detachErrorListeners(socket)
  process.nextTick(() => socket.emit('error', error))
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
