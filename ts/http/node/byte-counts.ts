/**
 * `bytesRead` and `bytesWritten` of a connection's socket. The engine counts, because a count here
 * would cost each response; it is asked when a program reads one of them.
 */
import type { ByteCounts } from '../../engine/exchange.ts'
import type { DefineAccessor } from './lazy-stream.ts'
import type { ServerSocket } from './server-socket.ts'
import { kConnection, kMessagePair, kTunnel } from './symbols.ts'

const NONE: ByteCounts = [0, 0]

/** Defines both on the prototype of the sockets. After an upgrade they count the tunnel's bytes. */
export function defineByteCounts(defineAccessor: DefineAccessor<ServerSocket>): void {
  defineAccessor('bytesRead', function bytesRead() {
    return this[kTunnel]?.bytesRead ?? countsOf(this)[0]
  })
  // As in node, bytes that wait to be sent count as written.
  defineAccessor('bytesWritten', function bytesWritten() {
    const tunnel = this[kTunnel]
    if (tunnel !== undefined) return tunnel.bytesWritten + this._writableState.length
    return countsOf(this)[1] + (this[kMessagePair]?.exchange.queuedBytes ?? 0)
  })
}

function countsOf(socket: ServerSocket): ByteCounts {
  return socket[kConnection]?.byteCounts?.() ?? NONE
}
