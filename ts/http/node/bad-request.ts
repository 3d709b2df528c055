/**
 * The answer to what is no request, where it is ours to give and the program does not listen to 'clientError': node's
 * own, but the connection is half-closed behind it and read for a while. Node closes at once, which resets the answer
 * away from a client that is still sending.
 */
import type { Socket } from 'node:net'
import { badRequestText } from './bad-request-text.ts'
import { socketInternals } from './internals.ts'
import { detachErrorListeners } from './socket-listeners.ts'

/** How long a client may still send what nobody reads. */
const LINGER_MS = 1_000

/** Sockets that have been answered: the parser complains of every byte that still comes. */
const respondedSockets = new WeakSet<Socket>()

export function sendBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (respondedSockets.has(socket)) return
  const begun = socketInternals(socket)._httpMessage?._headerSent === true
  const code = error.code ?? ''
  if (begun || !socket.writable || !/^HPE_|^ERR_HTTP_/.test(code)) {
    socket.destroy(error)
    return
  }
  if (code === 'HPE_INVALID_EOF_STATE') {
    // The client has ended its side, and sends nothing that could reset the answer: as node.
    socket.write(badRequestText(code))
    socket.destroy(error)
    return
  }
  respondedSockets.add(socket)
  socket.end(badRequestText(code))
  // Node destroys the socket with the error: whoever follows its life hears of that at once, and nobody else.
  detachErrorListeners(socket)
  process.nextTick(() => socket.emit('error', error))
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
