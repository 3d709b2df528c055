/**
 * An application's `http.Server` while an engine serves it: it knows its connections, and its `close` waits for them,
 * by node's own accounting.
 */

import { channel } from 'node:diagnostics_channel'
import type http from 'node:http'
import type { Connection } from '../../engine/exchange.ts'
import { connectionListener, serverInternals } from './internals.ts'
import { listenInName } from './listen.ts'
import type { ServerSocket } from './socket.ts'
import { createSocket, isServerSocket, socketAnnounced } from './socket.ts'

const socketCreated = channel('net.server.socket')

/** What a server is told of where and how it is served. */
export interface Serving {
  /** Seconds; the operator's setting stands above the application's. */
  readonly keepalive: number
  /** The first of the addresses, as in the log. */
  readonly address: string
}

/** Makes a server one that listens, in all that the application can see. */
export function prepareServer(server: http.Server, { keepalive, address }: Serving): void {
  listenInName(server, address)
  server.keepAliveTimeout = keepalive * 1000
}

export class ServedServer {
  readonly server: http.Server
  readonly #sockets = new Set<ServerSocket>()

  constructor(server: http.Server) {
    this.server = server
    passOurSockets(server)
    define(server, 'closeIdleConnections', () => {
      for (const socket of this.#sockets) if (isIdle(socket)) socket.destroy()
    })
    define(server, 'closeAllConnections', () => {
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  /** The socket of a connection, made when it is first needed. */
  connect(connection: Connection): ServerSocket {
    const { server } = this
    const socket = createSocket(this, connection)
    connection.attachment = socket
    this.#sockets.add(socket)
    serverInternals(server)._connections++
    if (socketCreated.hasSubscribers) socketCreated.publish({ socket })
    // Node's own listener is the one that is always there.
    if (server.listenerCount('connection') > 1) server.emit('connection', socket)
    socketAnnounced(socket)
    return socket
  }

  onSocketDestroyed(socket: ServerSocket): void {
    if (!this.#sockets.delete(socket)) return
    const internals = serverInternals(this.server)
    internals._connections--
    internals._emitCloseIfDrained()
  }
}

function isIdle(socket: ServerSocket): boolean {
  return socket._httpMessage === null || socket._httpMessage.finished
}

/** Node's listener would put its parser on our sockets; those that a program brings itself still get it. */
function passOurSockets(server: http.Server): void {
  if (!server.listeners('connection').includes(connectionListener)) return
  server.removeListener('connection', connectionListener)
  server.prependListener('connection', (socket) => {
    if (!isServerSocket(socket)) connectionListener.call(server, socket)
  })
}

function define(server: http.Server, name: string, value: () => void): void {
  Object.defineProperty(server, name, { value, writable: true, configurable: true })
}
