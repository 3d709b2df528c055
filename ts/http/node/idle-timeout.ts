/**
 * The timeout of a socket between two requests. As in node, a socket with a timeout has the
 * server's keep-alive timeout there, and its end emits 'timeout'. The engine has the keep-alive
 * timer of all other sockets.
 */
import type http from 'node:http'
import { serverInternals } from './internals.ts'
import { KEEP_ALIVE_BUFFER_MS } from './program-limits.ts'
import { kHasIdleTimeout, type ServerSocket } from './server-socket.ts'
import { kLastResponseGiven } from './symbols.ts'

/** Replaces the timeout of a request, after its response. */
export function startIdleTimeout(socket: ServerSocket): void {
  const { server } = socket
  if (socket[kLastResponseGiven]) {
    socket.setTimeout(0)
  } else if (server.keepAliveTimeout > 0) {
    socket.setTimeout(server.keepAliveTimeout + keepAliveBufferMs(server))
    socket[kHasIdleTimeout] = true
  }
}

/** Restores the server's timeout when the next request begins. */
export function endIdleTimeout(socket: ServerSocket): void {
  if (!socket[kHasIdleTimeout]) return
  socket[kHasIdleTimeout] = false
  socket.setTimeout(socket.server.timeout || 0)
}

/** What node adds to `keepAliveTimeout`, in milliseconds. */
export function keepAliveBufferMs(server: http.Server): number {
  return serverInternals(server).keepAliveTimeoutBuffer ?? KEEP_ALIVE_BUFFER_MS
}

/**
 * Whether the listeners of 'timeout' decide about idle connections: then nothing else closes them.
 */
export function decidesIdleTimeouts(server: http.Server): boolean {
  return server.timeout > 0 && server.keepAliveTimeout > 0 && server.listenerCount('timeout') > 0
}
