/**
 * The answer to what is no request, where it is ours to give and the program does not listen to 'clientError': node's
 * own, but the connection is half-closed behind it and read for a while. Node closes at once, which resets the answer
 * away from a client that is still sending.
 */
import type { Socket } from 'node:net'
import { socketInternals } from './internals.ts'

/** How long a client may still send what nobody reads. */
const LINGER_MS = 1_000

const STATUSES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Sockets that have been answered: the parser complains of every byte that still comes. */
const answered = new WeakSet<Socket>()

/** Node's words for an error with this code. */
export function bareAnswer(code = ''): string {
  return `HTTP/1.1 ${STATUSES[code] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`
}

export function answerBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (answered.has(socket)) return
  const begun = socketInternals(socket)._httpMessage?._headerSent === true
  const code = error.code ?? ''
  if (begun || !socket.writable || !/^HPE_|^ERR_HTTP_/.test(code)) {
    socket.destroy(error)
    return
  }
  if (code === 'HPE_INVALID_EOF_STATE') {
    // The client has ended its side, and sends nothing that could reset the answer: as node.
    socket.write(bareAnswer(code))
    socket.destroy(error)
    return
  }
  answered.add(socket)
  socket.end(bareAnswer(code))
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
