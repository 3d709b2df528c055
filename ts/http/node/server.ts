/**
 * An application's `http.Server` while an engine serves it: it knows its connections, and its `close` waits for them,
 * by node's own accounting.
 */

import { channel } from 'node:diagnostics_channel'
import type http from 'node:http'
import type { Connection, Exchange } from '../../engine/exchange.ts'
import { connectionListener, nodeMajor, serverInternals } from './internals.ts'
import { listenInName } from './listen.ts'
import type { ServerSocket } from './socket.ts'
import {
  createSocket,
  isServerSocket,
  openTunnel,
  socketAnnounced,
  socketClosed,
} from './socket.ts'
import { SocketTunnel } from './tunnel.ts'

const socketCreated = channel('net.server.socket')

/** What a server is told of where and how it is served. */
export interface Serving {
  /** Seconds; the operator's setting stands above the application's. */
  readonly keepalive: number
  /** The first of the addresses, as in the log. */
  readonly address: string
}

/** What a server that listens on its own address needs of the engine beyond its exchanges. */
export interface OwnListener {
  /** The process lives as long as somebody holds it. */
  hold(): void
  release(): void
  /** The program has changed the server's time limits. */
  onLimitsChanged(): void
}

/** Makes a server one that listens, in all that the application can see. */
export function prepareServer(server: http.Server, { keepalive, address }: Serving): void {
  listenInName(server, address)
  server.keepAliveTimeout = keepalive * 1000
}

export class ServedServer {
  readonly server: http.Server
  own: OwnListener | undefined
  readonly #connections = new Set<Connection>()
  /** Those that `unref` has been called for: they do not keep the process. */
  readonly #unheld = new WeakSet<Connection>()
  readonly #dropped = new WeakSet<Connection>()
  /** Connections ever heard of, and how many the listeners that are closed have accepted. */
  #told = 0
  #accepted = 0

  constructor(server: http.Server) {
    this.server = server
    passOurSockets(server)
    define(server, 'closeIdleConnections', () => {
      for (const connection of this.#connections) if (isIdle(connection)) this.#cut(connection)
    })
    define(server, 'closeAllConnections', () => {
      // Not what the application has taken over, as on node.
      for (const connection of this.#connections) if (!isUpgraded(connection)) this.#cut(connection)
    })
    const { _emitCloseIfDrained } = serverInternals(server)
    define(server, '_emitCloseIfDrained', () => {
      // Connections that were accepted before the listener closed may still be on their way here.
      if (this.#told >= this.#accepted) _emitCloseIfDrained.call(server)
    })
  }

  /** A connection is there. */
  open(connection: Connection): void {
    const { server, own } = this
    const internals = serverInternals(server)
    this.#told++
    if (own !== undefined && this.#told === this.#accepted) own.release()
    if (server.maxConnections != null && internals._connections >= server.maxConnections) {
      this.#dropped.add(connection)
      connection.destroy()
      server.emit('drop', addressesOf(connection))
      internals._emitCloseIfDrained()
      return
    }
    this.#connections.add(connection)
    internals._connections++
    own?.hold()
    // Node's own listener is the one that is always there.
    if (server.listenerCount('connection') > 1 || server.timeout > 0) this.connect(connection)
  }

  /** The socket of a connection, made when it is first needed; undefined when the connection is refused. */
  connect(connection: Connection): ServerSocket | undefined {
    const { server } = this
    if (this.#dropped.has(connection)) return undefined
    const socket = createSocket(this, connection)
    connection.attachment = socket
    if (socketCreated.hasSubscribers) socketCreated.publish({ socket })
    if (server.listenerCount('connection') > 1) server.emit('connection', socket)
    socketAnnounced(socket)
    return socket
  }

  /** The application takes the connection of an exchange over. */
  upgrade(socket: ServerSocket, exchange: Exchange): void {
    openTunnel(socket, new SocketTunnel(socket, exchange.tunnel(), exchange.ahead?.length ?? 0))
  }

  /** Ends what the application has taken over. */
  destroyUpgraded(): void {
    for (const connection of this.#connections) if (isUpgraded(connection)) this.#cut(connection)
  }

  /** The engine has closed a connection. */
  closed(connection: Connection): void {
    const socket = connection.attachment as ServerSocket | undefined
    if (socket === undefined) this.#leave(connection)
    else socketClosed(socket)
  }

  onSocketDestroyed({ connection }: ServerSocket): void {
    this.#leave(connection)
  }

  onSocketRef({ connection }: ServerSocket, isHeld: boolean): void {
    if (this.own === undefined || !this.#connections.has(connection)) return
    if (this.#unheld.has(connection) !== isHeld) return
    if (isHeld) {
      this.#unheld.delete(connection)
      this.own.hold()
    } else {
      this.#unheld.add(connection)
      this.own.release()
    }
  }

  /** A listener has closed that had accepted so many connections. */
  listenerClosed(accepted: number): void {
    const wasWaiting = this.#told < this.#accepted
    this.#accepted += accepted
    if (!wasWaiting && this.#told < this.#accepted) this.own?.hold()
  }

  #leave(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const internals = serverInternals(this.server)
    internals._connections--
    internals._emitCloseIfDrained()
    if (!this.#unheld.has(connection)) this.own?.release()
  }

  #cut(connection: Connection): void {
    const socket = connection.attachment as ServerSocket | undefined
    if (socket !== undefined) {
      socket.destroy()
      return
    }
    connection.destroy()
    this.#leave(connection)
  }
}

/** As node counts: without a request in hand; one that has never had any is idle from Node 26 on. */
function isIdle({ attachment }: Connection): boolean {
  const socket = attachment as ServerSocket | undefined
  if (socket?.tunnel !== undefined) return false
  if (socket === undefined || socket.requests === 0) return nodeMajor >= 26
  return socket._httpMessage === null || socket._httpMessage.finished
}

function isUpgraded({ attachment }: Connection): boolean {
  return (attachment as ServerSocket | undefined)?.tunnel !== undefined
}

/** What node tells the listeners of 'drop'. */
function addressesOf(connection: Connection): object {
  const { localAddress, localPort, localFamily } = connection
  const { remoteAddress, remotePort, remoteFamily } = connection
  return { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }
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
