/**
 * Serves an application's `http.Server` with an engine. The server knows its connections, and its
 * `close` waits for them, as node counts them.
 */

import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import { getDefaultHighWaterMark } from 'node:stream'
import type { Connection, Exchange } from '../../engine/exchange.ts'
import { limitWebSocket } from '../../engine/websocket-limit.ts'
import { sendBadRequest } from './bad-request.ts'
import { refusalError } from './errors.ts'
import {
  connectionEvent,
  connectionListener,
  isHttpsServer,
  nodeMajor,
  originalEmit,
  serverInternals,
} from './internals.ts'
import { pretendToListen } from './listen.ts'
import { changedLimit, type GivenSettings } from './program-limits.ts'
import { isServerSocket, type ServerSocket, socketOf } from './server-socket.ts'
import {
  createSocket,
  noteAnnounced,
  noteRefusal,
  onConnectionClosed,
  openTunnel,
} from './socket.ts'
import { detachErrorListeners } from './socket-listeners.ts'
import { kConnection, kMessagePair, kRequestCount, kTunnel } from './symbols.ts'
import { SocketTunnel } from './tunnel.ts'

const socketCreated = channel('net.server.socket')

/** How the engine serves the application's server. */
export interface ServeOptions {
  /** The keep-alive time in seconds: the setting, or our default. */
  readonly keepalive: number
  /** The settings that the operator gave. They take precedence over what the application sets. */
  readonly given: GivenSettings
  /** The first listening address, as the log shows it. */
  readonly address: string
  /** The setting `websocket_max_message_size`; no limit if undefined. */
  readonly maxMessageBytes?: number
}

/** What a served server asks of the engine, beside exchanges. */
export interface ServingEngine {
  /** Keeps the process alive until the matching `releaseProcess`. */
  holdProcess(): void
  releaseProcess(): void
  /** Applies the time limits that the application has changed on its server. */
  onLimitsChanged(): void
  /**
   * Turns reports of refused input on or off: they are wanted where 'clientError' has a listener.
   */
  reportRefusals(isWanted: boolean): void
  /** Closes idle connections itself; false where the server must. */
  closesIdleConnections?(): boolean
  /**
   * Whether the server must not emit 'close' yet, because the engine drains and may have accepted
   * connections that it has not reported. The engine lets the server check again later.
   */
  holdsClose?(): boolean
}

/** Makes the server appear to listen, and sets the limits that the operator gave. */
export function prepareServer(
  server: http.Server,
  { keepalive, given, address }: ServeOptions,
): void {
  pretendToListen(server, address)
  if (given.has('keepalive') || changedLimit(server, 'keepAliveTimeout') === undefined) {
    server.keepAliveTimeout = keepalive * 1000
  }
  // The engine enforces the operator's limit itself.
  if (given.has('limit_requests_per_connection')) server.maxRequestsPerSocket = 0
}

const kServedServer = Symbol('monoceros.servedServer')

type OurServer = http.Server & { [kServedServer]?: ServedServer }

const installed = new WeakSet<object>()

/**
 * Replaces the methods that node implements with its parsers' list of connections. Called once for
 * http.Server before the application loads, so that what the application patches wraps ours.
 * https.Server has copies of the methods.
 */
export function installServerMethods(prototype: OurServer = http.Server.prototype): void {
  if (installed.has(prototype)) return
  installed.add(prototype)
  const { closeIdleConnections, closeAllConnections } = prototype
  const { _emitCloseIfDrained } = serverInternals(prototype)
  const methods = {
    closeIdleConnections(this: OurServer) {
      closeIdleConnections.call(this)
      this[kServedServer]?.closeIdleConnections()
    },
    closeAllConnections(this: OurServer) {
      closeAllConnections.call(this)
      this[kServedServer]?.closeAllConnections()
    },
    _emitCloseIfDrained(this: OurServer) {
      if (this[kServedServer]?.mayBeClosed !== false) _emitCloseIfDrained.call(this)
    },
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true })
  }
}

/** The state of a server that an engine serves. */
export class ServedServer {
  readonly server: http.Server
  /** Of the server's sockets, in bytes: its option, or node's default. */
  readonly highWaterMark: number
  engine: ServingEngine | undefined
  /**
   * Whether refused input is left to the application if 'clientError' has a listener, as on node.
   */
  respondsToRefusals = false
  /** Maximum size of a WebSocket message in bytes; 0 is no limit. */
  maxMessageBytes = 0
  /** The event that the server emits for each socket. */
  readonly #connectionEvent: string
  readonly #connections = new Set<Connection>()
  /** Connections whose socket has been unreferenced: they do not keep the process alive. */
  readonly #unrefConnections = new WeakSet<Connection>()
  /** Connections beyond `maxConnections`, which are closed. */
  readonly #droppedConnections = new WeakSet<Connection>()
  /** The number of connections that the engine has reported. */
  #reportedCount = 0
  /** The number of connections that the listeners closed so far had accepted. */
  #acceptedCount = 0

  constructor(server: http.Server) {
    this.server = server
    this.highWaterMark = serverInternals(server).highWaterMark ?? getDefaultHighWaterMark(false)
    this.#connectionEvent = connectionEvent(server)
    if (isHttpsServer(server)) {
      installServerMethods(findPrototypeWith(server, 'closeIdleConnections'))
    }
    keepParserOffOurSockets(server, this.#connectionEvent)
    Object.defineProperty(server, kServedServer, { value: this, configurable: true })
  }

  closeIdleConnections(): void {
    if (this.engine?.closesIdleConnections?.() === true) return
    for (const connection of this.#connections) {
      if (isIdle(connection)) this.#closeConnection(connection)
    }
  }

  /** Closes all connections except upgraded ones, as on node. */
  closeAllConnections(): void {
    for (const connection of this.#connections) {
      if (!isUpgraded(connection)) this.#closeConnection(connection)
    }
  }

  /**
   * Whether the engine has reported every connection that was accepted before its listener was
   * closed.
   */
  get hasReceivedAllAccepted(): boolean {
    return this.#reportedCount >= this.#acceptedCount
  }

  /** Whether no connection of the server can be left but those that it knows. */
  get mayBeClosed(): boolean {
    return this.hasReceivedAllAccepted && this.engine?.holdsClose?.() !== true
  }

  /** Takes a new connection that the engine reports. */
  addConnection(connection: Connection): void {
    const { server, engine } = this
    const internals = serverInternals(server)
    this.#reportedCount++
    if (engine !== undefined && this.#reportedCount === this.#acceptedCount) engine.releaseProcess()
    if (server.maxConnections != null && internals._connections >= server.maxConnections) {
      this.#droppedConnections.add(connection)
      connection.destroy()
      server.emit('drop', addressesOf(connection))
      internals._emitCloseIfDrained()
      return
    }
    this.#connections.add(connection)
    internals._connections++
    engine?.holdProcess()
    if (this.#hasSocketListeners() || server.timeout > 0) this.createSocket(connection)
  }

  /**
   * Creates and announces the socket of a connection; undefined if the connection has been dropped.
   */
  createSocket(connection: Connection): ServerSocket | undefined {
    const { server } = this
    if (this.#droppedConnections.has(connection)) return undefined
    const socket = createSocket(this, connection)
    connection.attachment = socket
    if (server.timeout > 0) socket.setTimeout(server.timeout)
    if (socketCreated.hasSubscribers) socketCreated.publish({ socket })
    if (this.#hasSocketListeners()) server.emit(this.#connectionEvent, socket)
    noteAnnounced(socket)
    return socket
  }

  /**
   * Emits 'clientError' for input that the engine has refused. The engine has also responded,
   * unless `respondsToRefusals`. `kind` is the engine's number of the reason.
   */
  onRefused(connection: Connection, kind: number, packet: Buffer): void {
    const { server } = this
    const error = refusalError(kind, packet)
    if (error === undefined) return
    const socket = socketOf(connection) ?? this.createSocket(connection)
    if (socket === undefined || socket.destroyed) return
    noteRefusal(socket, !this.respondsToRefusals)
    // As on node, an error with which the application destroys the socket is not emitted again.
    detachErrorListeners(socket)
    const isHandled = server.emit('clientError', error, socket)
    if (!isHandled && this.respondsToRefusals) sendBadRequest(error, socket)
  }

  /**
   * Gives the connection of an exchange to the application; `upgrade` is the protocol that the
   * client asked for. Returns the bytes that came with the head of the request.
   */
  upgradeSocket(
    socket: ServerSocket,
    exchange: Exchange,
    upgrade: string | undefined,
  ): Buffer | undefined {
    // As on node, the sockets of a TLS server end with their clients.
    if (this.#connectionEvent === 'secureConnection') socket.allowHalfOpen = false
    const { ahead } = exchange
    const limit = limitWebSocket(socket, upgrade, this.maxMessageBytes)
    const tunnel = new SocketTunnel(socket, exchange.tunnel(), {
      ...{ bytesAhead: ahead?.length ?? 0, limit },
    })
    // A later error of the application belongs to the tunnel.
    exchange.owner = tunnel
    openTunnel(socket, tunnel)
    return ahead === undefined ? undefined : (limit?.filter(ahead) ?? ahead)
  }

  destroyUpgradedSockets(): void {
    for (const connection of this.#connections) {
      if (isUpgraded(connection)) this.#closeConnection(connection)
    }
  }

  /** Handles a connection that the engine has closed. */
  onConnectionClosed(connection: Connection): void {
    const socket = socketOf(connection)
    if (socket === undefined) this.#removeConnection(connection)
    else onConnectionClosed(socket)
  }

  onSocketDestroyed({ [kConnection]: connection }: ServerSocket): void {
    this.#removeConnection(connection)
  }

  /** As in node, such a socket does not keep the process alive. */
  onUnreadEnd(socket: ServerSocket): void {
    this.onSocketRef(socket, false)
  }

  onSocketRef({ [kConnection]: connection }: ServerSocket, isRef: boolean): void {
    if (this.engine === undefined || !this.#connections.has(connection)) return
    if (this.#unrefConnections.has(connection) !== isRef) return
    if (isRef) {
      this.#unrefConnections.delete(connection)
      this.engine.holdProcess()
    } else {
      this.#unrefConnections.add(connection)
      this.engine.releaseProcess()
    }
  }

  /** Handles the close of a listener that has accepted `accepted` connections. */
  onListenerClosed(accepted: number): void {
    const wasWaiting = !this.hasReceivedAllAccepted
    this.#acceptedCount += accepted
    if (!wasWaiting && !this.hasReceivedAllAccepted) this.engine?.holdProcess()
  }

  /**
   * Whether the application listens for sockets. Node's own listener is always there. An
   * application that has replaced `emit` may handle any event.
   */
  #hasSocketListeners(): boolean {
    const { server } = this
    return server.listenerCount(this.#connectionEvent) > 1 || server.emit !== originalEmit
  }

  #removeConnection(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const internals = serverInternals(this.server)
    internals._connections--
    internals._emitCloseIfDrained()
    if (!this.#unrefConnections.has(connection)) this.engine?.releaseProcess()
  }

  #closeConnection(connection: Connection): void {
    const socket = socketOf(connection)
    if (socket !== undefined) {
      socket.destroy()
      return
    }
    connection.destroy()
    this.#removeConnection(connection)
  }
}

/**
 * Whether a connection has no request in flight. As on node, one without any request so far is idle
 * from Node 26 only. A response stays in flight until its handler has returned and the engine has
 * all of its bytes.
 */
function isIdle(connection: Connection): boolean {
  const socket = socketOf(connection)
  if (socket?.[kTunnel] !== undefined) return false
  if (socket === undefined || socket[kRequestCount] === 0) return nodeMajor >= 26
  const { _httpMessage, [kMessagePair]: pair } = socket
  if (_httpMessage === null || pair === undefined) return true
  return _httpMessage.finished && !pair.isInHandler && !pair.exchange.isFull
}

/** Whether the application has taken the connection over. */
function isUpgraded(connection: Connection): boolean {
  return socketOf(connection)?.[kTunnel] !== undefined
}

/** The argument of node's 'drop' event. */
function addressesOf(connection: Connection): object {
  const { localAddress, localPort, localFamily } = connection
  const { remoteAddress, remotePort, remoteFamily } = connection
  return { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }
}

/**
 * Wraps node's connection listener, which attaches its parser: only sockets that the application
 * emits get one. Ours are among them after an upgrade or CONNECT.
 */
function keepParserOffOurSockets(server: http.Server, event: string): void {
  if (!server.listeners(event).includes(connectionListener)) return
  server.removeListener(event, connectionListener)
  server.prependListener(event, (socket) => {
    const isOurs = isServerSocket(socket) && socket[kTunnel] === undefined
    if (!isOurs) connectionListener.call(server, socket)
  })
}

/** Returns the prototype of a server that has `method` as its own property. */
function findPrototypeWith(server: http.Server, method: string): http.Server {
  let prototype = server
  while (!Object.hasOwn(prototype, method)) prototype = Object.getPrototypeOf(prototype)
  return prototype
}
