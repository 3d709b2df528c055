/**
 * An application's `http.Server` while an engine serves it: it knows its connections, and its `close` waits for them,
 * by node's own accounting.
 */

import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Connection, Exchange } from '../../engine/exchange.ts'
import { answerBadRequest } from './bad-request.ts'
import { refusedError } from './errors.ts'
import {
  connectionEvent,
  connectionListener,
  isHttpsServer,
  nodeMajor,
  originalEmit,
  serverInternals,
} from './internals.ts'
import { listenInName } from './listen.ts'
import { type Given, setOn, untouched } from './program-limits.ts'
import type { ServerSocket } from './socket.ts'
import {
  createSocket,
  isServerSocket,
  openTunnel,
  socketAnnounced,
  socketClosed,
  socketRefused,
} from './socket.ts'
import { kCall, kConnection, kRequests, kTunnel } from './symbols.ts'
import { SocketTunnel } from './tunnel.ts'

const socketCreated = channel('net.server.socket')

/** What a server is told of where and how it is served. */
export interface Serving {
  /** Seconds: the setting, or our default. */
  readonly keepalive: number
  /** What the operator gave stands above the application's. */
  readonly given: Given
  /** The first of the addresses, as in the log. */
  readonly address: string
}

/** What a server needs of the engine beyond its exchanges. */
export interface EngineSide {
  /** The process lives as long as somebody holds it. */
  hold(): void
  release(): void
  /** The program has changed the server's time limits. */
  onLimitsChanged(): void
  /** Whether somebody listens for what the engine refuses. */
  tellRefusals(on: boolean): void
  /** Whether it ends the connections that wait for a request by itself. */
  closesIdle?(): boolean
}

/** Makes a server one that listens, in all that the application can see. */
export function prepareServer(server: http.Server, { keepalive, given, address }: Serving): void {
  listenInName(server, address)
  if (given.has('keepalive') || setOn(server, 'keepAliveTimeout') === undefined) {
    server.keepAliveTimeout = keepalive * 1000
  }
  // The engine counts by itself where the operator has said how far.
  if (given.has('limit_requests_per_connection')) server.maxRequestsPerSocket = 0
}

const kServed = Symbol('monoceros.served')

type OurServer = http.Server & { [kServed]?: ServedServer }

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
      this[kServed]?.closeIdle()
    },
    closeAllConnections(this: OurServer) {
      closeAllConnections.call(this)
      this[kServed]?.closeAll()
    },
    _emitCloseIfDrained(this: OurServer) {
      if (this[kServed]?.hasHeardOfAll !== false) _emitCloseIfDrained.call(this)
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
  side: EngineSide | undefined
  /** What the engine refuses is for the program to answer where it listens for 'clientError', as on node. */
  answersRefusals = false
  /** With which it hears of a socket. */
  readonly #event: string
  readonly #connections = new Set<Connection>()
  /** Those that `unref` has been called for: they do not keep the process. */
  readonly #unheld = new WeakSet<Connection>()
  readonly #dropped = new WeakSet<Connection>()
  /** Connections ever heard of, and how many the listeners that are closed have accepted. */
  #told = 0
  #accepted = 0

  constructor(server: http.Server) {
    this.server = server
    const [own, nodes] = [server, untouched].map((each) => serverInternals(each).highWaterMark)
    this.highWaterMark = own === undefined || own === nodes ? HIGH_WATER_MARK : own
    this.#event = connectionEvent(server)
    if (isHttpsServer(server)) installServerMethods(prototypeWith(server, 'closeIdleConnections'))
    passOurSockets(server, this.#event)
    Object.defineProperty(server, kServed, { value: this, configurable: true })
  }

  closeIdle(): void {
    if (this.side?.closesIdle?.() === true) return
    for (const connection of this.#connections) if (isIdle(connection)) this.#cut(connection)
  }

  /** Not what the application has taken over, as on node. */
  closeAll(): void {
    for (const connection of this.#connections) if (!isUpgraded(connection)) this.#cut(connection)
  }

  /** Connections that were accepted before the listener closed may still be on their way here. */
  get hasHeardOfAll(): boolean {
    return this.#told >= this.#accepted
  }

  /** A connection is there. */
  open(connection: Connection): void {
    const { server, side } = this
    const internals = serverInternals(server)
    this.#told++
    if (side !== undefined && this.#told === this.#accepted) side.release()
    if (server.maxConnections != null && internals._connections >= server.maxConnections) {
      this.#dropped.add(connection)
      connection.destroy()
      server.emit('drop', addressesOf(connection))
      internals._emitCloseIfDrained()
      return
    }
    this.#connections.add(connection)
    internals._connections++
    side?.hold()
    if (this.#hearsSockets() || server.timeout > 0) this.connect(connection)
  }

  /** The socket of a connection, made when it is first needed; undefined when the connection is refused. */
  connect(connection: Connection): ServerSocket | undefined {
    const { server } = this
    if (this.#dropped.has(connection)) return undefined
    const socket = createSocket(this, connection)
    connection.attachment = socket
    if (server.timeout > 0) socket.setTimeout(server.timeout)
    if (socketCreated.hasSubscribers) socketCreated.publish({ socket })
    if (this.#hearsSockets()) server.emit(this.#event, socket)
    socketAnnounced(socket)
    return socket
  }

  /** The engine has refused what came, and answered, unless that is the program's: who listens for 'clientError' is told. */
  refused(connection: Connection, kind: number, packet: Buffer): void {
    const { server } = this
    const error = refusedError(kind, packet)
    if (error === undefined) return
    const socket = (connection.attachment as ServerSocket | undefined) ?? this.connect(connection)
    if (socket === undefined || socket.destroyed) return
    socketRefused(socket, !this.answersRefusals)
    const isHeard = server.emit('clientError', error, socket)
    if (!isHeard && this.answersRefusals) answerBadRequest(error, socket)
  }

  /** The application takes the connection of an exchange over. */
  upgrade(socket: ServerSocket, exchange: Exchange): void {
    // As on node, where the sockets of tls.Server end with their clients.
    if (this.#event === 'secureConnection') socket.allowHalfOpen = false
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

  onSocketDestroyed({ [kConnection]: connection }: ServerSocket): void {
    this.#leave(connection)
  }

  onSocketRef({ [kConnection]: connection }: ServerSocket, isHeld: boolean): void {
    if (this.side === undefined || !this.#connections.has(connection)) return
    if (this.#unheld.has(connection) !== isHeld) return
    if (isHeld) {
      this.#unheld.delete(connection)
      this.side.hold()
    } else {
      this.#unheld.add(connection)
      this.side.release()
    }
  }

  /** A listener has closed that had accepted so many connections. */
  listenerClosed(accepted: number): void {
    const wasWaiting = this.#told < this.#accepted
    this.#accepted += accepted
    if (!wasWaiting && this.#told < this.#accepted) this.side?.hold()
  }

  /** Node's own listener is the one that is always there; who has replaced `emit` hears of every event. */
  #hearsSockets(): boolean {
    const { server } = this
    return server.listenerCount(this.#event) > 1 || server.emit !== originalEmit
  }

  #leave(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const internals = serverInternals(this.server)
    internals._connections--
    internals._emitCloseIfDrained()
    if (!this.#unheld.has(connection)) this.side?.release()
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

/**
 * As node counts: without a request in hand; one that has never had any is idle from Node 26 on. An answer that has ended
 * is in hand until the handler has returned, and until the engine has all of it.
 */
function isIdle({ attachment }: Connection): boolean {
  const socket = attachment as ServerSocket | undefined
  if (socket?.[kTunnel] !== undefined) return false
  if (socket === undefined || socket[kRequests] === 0) return nodeMajor >= 26
  const { _httpMessage, [kCall]: call } = socket
  if (_httpMessage === null || call === undefined) return true
  return _httpMessage.finished && !call.inHandler && !call.exchange.isFull
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
function passOurSockets(server: http.Server, event: string): void {
  if (!server.listeners(event).includes(connectionListener)) return
  server.removeListener(event, connectionListener)
  server.prependListener(event, (socket) => {
    if (!isServerSocket(socket)) connectionListener.call(server, socket)
  })
}

/** The prototype of an object that has a method of its own. */
function prototypeWith(object: object, method: string): object {
  let prototype: object = object
  while (!Object.hasOwn(prototype, method)) prototype = Object.getPrototypeOf(prototype)
  return prototype
}
