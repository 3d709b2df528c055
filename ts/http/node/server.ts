/**
 * An application's `http.Server` while an engine serves it: it knows its connections, and its `close` waits for them,
 * by node's own accounting.
 */

import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Connection, Exchange } from '../../engine/exchange.ts'
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
import { changedLimit, defaultServer, type GivenSettings } from './program-limits.ts'
import type { ServerSocket } from './socket.ts'
import {
  createSocket,
  isServerSocket,
  noteAnnounced,
  noteRefusal,
  onConnectionClosed,
  openTunnel,
} from './socket.ts'
import { kConnection, kMessagePair, kRequestCount, kTunnel } from './symbols.ts'
import { SocketTunnel } from './tunnel.ts'

const socketCreated = channel('net.server.socket')

/** What a server is told of where and how it is served. */
export interface ServeOptions {
  /** Seconds: the setting, or our default. */
  readonly keepalive: number
  /** What the operator gave stands above the application's. */
  readonly given: GivenSettings
  /** The first of the addresses, as in the log. */
  readonly address: string
}

/** What a server needs of the engine beyond its exchanges. */
export interface ServingEngine {
  /** The process lives as long as somebody holds it. */
  holdProcess(): void
  releaseProcess(): void
  /** The program has changed the server's time limits. */
  onLimitsChanged(): void
  /** Whether somebody listens for what the engine refuses. */
  reportRefusals(on: boolean): void
  /** Whether it ends the connections that wait for a request by itself. */
  closesIdleConnections?(): boolean
}

/** Makes a server one that listens, in all that the application can see. */
export function prepareServer(
  server: http.Server,
  { keepalive, given, address }: ServeOptions,
): void {
  pretendToListen(server, address)
  if (given.has('keepalive') || changedLimit(server, 'keepAliveTimeout') === undefined) {
    server.keepAliveTimeout = keepalive * 1000
  }
  // The engine counts by itself where the operator has said how far.
  if (given.has('limit_requests_per_connection')) server.maxRequestsPerSocket = 0
}

const kServedServer = Symbol('monoceros.servedServer')

type OurServer = http.Server & { [kServedServer]?: ServedServer }

const installed = new WeakSet<object>()

/**
 * Replaces what node does by its parsers' list of connections; called once, before the application loads, so that what
 * a program puts over the methods stays on top. Servers of node:https have copies of the methods.
 */
export function installServerMethods(prototype: object = http.Server.prototype): void {
  if (installed.has(prototype)) return
  installed.add(prototype)
  const ours = prototype as OurServer
  const { closeIdleConnections, closeAllConnections } = ours
  const { _emitCloseIfDrained } = serverInternals(ours)
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
      if (this[kServedServer]?.hasReceivedAllAccepted !== false) _emitCloseIfDrained.call(this)
    },
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true })
  }
}

/** Bytes written and not yet gone, from which on `write()` says false, unless the program has its own: the engine's. */
const HIGH_WATER_MARK = 65_536

export class ServedServer {
  readonly server: http.Server
  readonly highWaterMark: number
  engine: ServingEngine | undefined
  /** What the engine refuses is for the program to answer where it listens for 'clientError', as on node. */
  respondsToRefusals = false
  /** With which it hears of a socket. */
  readonly #connectionEvent: string
  readonly #connections = new Set<Connection>()
  /** Those that `unref` has been called for: they do not keep the process. */
  readonly #unrefConnections = new WeakSet<Connection>()
  readonly #droppedConnections = new WeakSet<Connection>()
  /** Connections ever heard of, and how many the listeners that are closed have accepted. */
  #reportedCount = 0
  #acceptedCount = 0

  constructor(server: http.Server) {
    this.server = server
    const [own, nodes] = [server, defaultServer].map((each) => serverInternals(each).highWaterMark)
    this.highWaterMark = own === undefined || own === nodes ? HIGH_WATER_MARK : own
    this.#connectionEvent = connectionEvent(server)
    if (isHttpsServer(server))
      installServerMethods(findPrototypeWith(server, 'closeIdleConnections'))
    keepParserOffOurSockets(server, this.#connectionEvent)
    Object.defineProperty(server, kServedServer, { value: this, configurable: true })
  }

  closeIdleConnections(): void {
    if (this.engine?.closesIdleConnections?.() === true) return
    for (const connection of this.#connections)
      if (isIdle(connection)) this.#closeConnection(connection)
  }

  /** Not what the application has taken over, as on node. */
  closeAllConnections(): void {
    for (const connection of this.#connections)
      if (!isUpgraded(connection)) this.#closeConnection(connection)
  }

  /** Connections that were accepted before the listener closed may still be on their way here. */
  get hasReceivedAllAccepted(): boolean {
    return this.#reportedCount >= this.#acceptedCount
  }

  /** A connection is there. */
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

  /** The socket of a connection, made when it is first needed; undefined when the connection is refused. */
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

  /** The engine has refused what came, and answered, unless that is the program's: who listens for 'clientError' is told. */
  onRefused(connection: Connection, kind: number, packet: Buffer): void {
    const { server } = this
    const error = refusalError(kind, packet)
    if (error === undefined) return
    const socket =
      (connection.attachment as ServerSocket | undefined) ?? this.createSocket(connection)
    if (socket === undefined || socket.destroyed) return
    noteRefusal(socket, !this.respondsToRefusals)
    const isHeard = server.emit('clientError', error, socket)
    if (!isHeard && this.respondsToRefusals) sendBadRequest(error, socket)
  }

  /** The application takes the connection of an exchange over. */
  upgradeSocket(socket: ServerSocket, exchange: Exchange): void {
    // As on node, where the sockets of tls.Server end with their clients.
    if (this.#connectionEvent === 'secureConnection') socket.allowHalfOpen = false
    openTunnel(socket, new SocketTunnel(socket, exchange.tunnel(), exchange.ahead?.length ?? 0))
  }

  /** Ends what the application has taken over. */
  destroyUpgradedSockets(): void {
    for (const connection of this.#connections)
      if (isUpgraded(connection)) this.#closeConnection(connection)
  }

  /** The engine has closed a connection. */
  onConnectionClosed(connection: Connection): void {
    const socket = connection.attachment as ServerSocket | undefined
    if (socket === undefined) this.#removeConnection(connection)
    else onConnectionClosed(socket)
  }

  onSocketDestroyed({ [kConnection]: connection }: ServerSocket): void {
    this.#removeConnection(connection)
  }

  onSocketRef({ [kConnection]: connection }: ServerSocket, isHeld: boolean): void {
    if (this.engine === undefined || !this.#connections.has(connection)) return
    if (this.#unrefConnections.has(connection) !== isHeld) return
    if (isHeld) {
      this.#unrefConnections.delete(connection)
      this.engine.holdProcess()
    } else {
      this.#unrefConnections.add(connection)
      this.engine.releaseProcess()
    }
  }

  /** A listener has closed that had accepted so many connections. */
  onListenerClosed(accepted: number): void {
    const wasWaiting = this.#reportedCount < this.#acceptedCount
    this.#acceptedCount += accepted
    if (!wasWaiting && this.#reportedCount < this.#acceptedCount) this.engine?.holdProcess()
  }

  /** Node's own listener is the one that is always there; who has replaced `emit` hears of every event. */
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
    const socket = connection.attachment as ServerSocket | undefined
    if (socket !== undefined) {
      socket.destroy()
      return
    }
    connection.destroy()
    this.#removeConnection(connection)
  }
}

/**
 * As node counts: without a request in hand; one that has never had any is idle from Node 26 on. An answer that has ended
 * is in hand until the handler has returned, and until the engine has all of it.
 */
function isIdle({ attachment }: Connection): boolean {
  const socket = attachment as ServerSocket | undefined
  if (socket?.[kTunnel] !== undefined) return false
  if (socket === undefined || socket[kRequestCount] === 0) return nodeMajor >= 26
  const { _httpMessage, [kMessagePair]: pair } = socket
  if (_httpMessage === null || pair === undefined) return true
  return _httpMessage.finished && !pair.isInHandler && !pair.exchange.isFull
}

function isUpgraded({ attachment }: Connection): boolean {
  return (attachment as ServerSocket | undefined)?.[kTunnel] !== undefined
}

/** What node tells the listeners of 'drop'. */
function addressesOf(connection: Connection): object {
  const { localAddress, localPort, localFamily } = connection
  const { remoteAddress, remotePort, remoteFamily } = connection
  return { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }
}

/** Node's listener would put its parser on our sockets; those that a program brings itself still get it. */
function keepParserOffOurSockets(server: http.Server, event: string): void {
  if (!server.listeners(event).includes(connectionListener)) return
  server.removeListener(event, connectionListener)
  server.prependListener(event, (socket) => {
    if (!isServerSocket(socket)) connectionListener.call(server, socket)
  })
}

/** The prototype of an object that has a method of its own. */
function findPrototypeWith(object: object, method: string): object {
  let prototype: object = object
  while (!Object.hasOwn(prototype, method)) prototype = Object.getPrototypeOf(prototype)
  return prototype
}
