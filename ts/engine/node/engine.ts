/**
 * The engine for where the native one has no binary: node:http on the arbiter's descriptors. What it cannot do is a
 * table in docs/engines.md.
 */
import type http from 'node:http'
import type { Socket } from 'node:net'
import net from 'node:net'
import tls from 'node:tls'
import { connectionEvent, serverInternals, socketInternals } from '../../http/node/internals.ts'
import { type GivenSettings, programLimits } from '../../http/node/program-limits.ts'
import { prepareServer } from '../../http/node/server.ts'
import { IDLE_DRAIN_MS } from '../../messages.ts'
import type { TlsMaterial } from '../../tls/material.ts'
import { createNodeTlsOptions, findOcspResponse, isClientRejected } from '../../tls/node-options.ts'
import type {
  Engine,
  EngineConfig,
  EngineCounters,
  EngineOptions,
  ListenerInfo,
  Target,
} from '../engine.ts'
import { asksForHttp2 } from '../protocols.ts'
import { IGNORED_BY_NODE } from '../settings.ts'
import { NodeDispatcher } from './dispatch.ts'
import { createExchangeServer } from './exchange.ts'

/** The longest that a timer of Node takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** How long a half-closed connection waits for the client's end. */
const LINGER_MS = 1000

/** Values that ask for nothing. */
const DISABLING_VALUES: readonly unknown[] = [0, false, 'off']

/** Node allocates nothing by this, but reads a head of up to so many bytes. */
const MAX_HEAD_BYTES = 128 * 1024

export function createNodeEngine(options: EngineOptions): Engine {
  return new NodeEngine(options)
}

class NodeEngine implements Engine {
  readonly name = 'node'
  readonly #options: EngineOptions
  /** All that are accepted; with TLS what is below it, so also one whose handshake is under way. */
  readonly #accepted = new Set<Socket>()
  /** Of these, those whose handshake is under way. */
  readonly #handshaking = new Set<Socket>()
  /** Those that the application has, as it has them. */
  readonly #sockets = new Set<Socket>()
  readonly #frontServers: net.Server[] = []
  #server: http.Server | undefined
  #dispatcher: NodeDispatcher | undefined
  #resolveDrain: (() => void) | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #idleMs = 0
  #tls: { material: TlsMaterial; sni: NonNullable<tls.TlsOptions['SNICallback']> } | undefined

  constructor(options: EngineOptions) {
    this.#options = options
  }

  async serve(target: Target, listeners: readonly ListenerInfo[]): Promise<void> {
    const server = await createServerFor(target, this.#options)
    const { config, given = new Set() } = this.#options
    const address = listeners[0]?.address ?? ''
    prepareServer(server, { keepalive: config.keepalive, given, address })
    this.#server = server
    const limited = applyServerLimits(server, config, given)
    this.#logUnsupportedSettings(given)
    this.#dispatcher = new NodeDispatcher(server, { ...this.#options, config: limited })
    for (const listener of listeners) this.#listen(server, listener)
  }

  pause(): void {
    for (const front of this.#frontServers) front.close()
  }

  // Node has closed the descriptors.
  resume(): boolean {
    return false
  }

  async drain(graceMs: number, idleMs: number): Promise<void> {
    for (const front of this.#frontServers) front.close()
    this.#dispatcher?.drain()
    const gone = new Promise<void>((resolve) => {
      this.#resolveDrain = resolve
    })
    for (const socket of this.#sockets) markLastResponse(socket)
    this.hasten(Math.min(idleMs, graceMs))
    if (this.#server !== undefined) this.#replaceCloseIdleConnections(this.#server)
    // Whoever holds a socket still hears of its end; the last of them ends the drain.
    const grace = setTimeout(() => this.#destroyAll(), graceMs)
    this.#resolveIfDrained()
    await gone
    clearTimeout(this.#idleTimer)
    clearTimeout(grace)
    this.#dispatcher?.flush()
  }

  // A program that listens to TERM closes its server there. On each connection that looks idle a request may be on its
  // way: it is answered, as the last one.
  #replaceCloseIdleConnections(server: http.Server): void {
    Object.defineProperty(server, 'closeIdleConnections', {
      ...{ configurable: true, writable: true },
      value: () => this.hasten(Math.min(this.#idleMs, IDLE_DRAIN_MS)),
    })
  }

  hasten(idleMs: number): void {
    this.#idleMs = idleMs
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => this.#closeIdleConnections(), idleMs)
  }

  close(): void {
    for (const front of this.#frontServers) front.close()
    this.#destroyAll()
    this.#dispatcher?.flush()
    this.#resolveDrain?.()
  }

  counters(): EngineCounters {
    let inFlight = 0
    for (const socket of this.#sockets) if (socketInternals(socket)._httpMessage) inFlight++
    inFlight += this.#dispatcher?.tunnels.size ?? 0
    const requests = this.#dispatcher?.requestCount ?? 0
    return { connections: this.#accepted.size, inFlight, requests }
  }

  reopenLog(): void {
    this.#dispatcher?.reopenLog()
  }

  /** Names the settings that somebody has given in vain. */
  #logUnsupportedSettings(given: GivenSettings): void {
    const { config } = this.#options
    const { http_protocols = null, http2_cleartext = null } = config
    if (asksForHttp2({ http_protocols }) || http2_cleartext === 'prior-knowledge') {
      this.#options.log.warning(
        'the engine on node:http speaks HTTP/1.1 only, not HTTP/2: see docs/engines.md',
      )
    }
    const vain: string[] = IGNORED_BY_NODE.filter(
      (name) => given.has(name) && !DISABLING_VALUES.includes(config[name]),
    )
    if (this.#options.tls?.requiresCloseNotify === true) vain.push('suppress_ragged_eofs')
    if (vain.length === 0) return
    this.#options.log.warning(
      `the engine on node:http does not know ${vain.join(', ')}: see docs/engines.md`,
    )
  }

  secure(material: TlsMaterial | undefined, secrets: readonly string[]): void {
    if (material === undefined) return
    const options = createNodeTlsOptions(material, secrets)
    for (const front of this.#frontServers)
      if (front instanceof tls.Server) front.setSecureContext(options)
    this.#tls = { material, sni: options.SNICallback }
  }

  /** A server in front of each descriptor, since a node server has only one; it hands the connections on. */
  #listen(server: http.Server, { fd, address, isSecure: usesTls }: ListenerInfo): void {
    const { tls: material } = this.#options
    const { highWaterMark } = serverInternals(server)
    const options = { allowHalfOpen: true, noDelay: true, highWaterMark }
    const front =
      usesTls === true && material !== undefined
        ? this.#createTlsServer(material, options)
        : net.createServer(options)
    const isSecure = front instanceof tls.Server
    front.on('connection', (socket: Socket) => this.#accept(socket, isSecure))
    front.on(isSecure ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#handshaking.delete(socketInternals(socket)._parent ?? socket)
      const isRefused =
        this.#tls !== undefined &&
        socket instanceof tls.TLSSocket &&
        isClientRejected(this.#tls.material, socket)
      if (isRefused) socket.destroy()
      else if (!socket.destroyed) this.#handOver(server, front, socket)
    })
    front.on('error', (error) => this.#options.log.exception(`listening on ${address}`, error))
    front.listen({ fd })
    this.#frontServers.push(front)
  }

  #createTlsServer(material: TlsMaterial, socketOptions: object): tls.Server {
    const { config, ticketSecrets = [] } = this.#options
    const { handshake_timeout: seconds = 0 } = config
    const options = createNodeTlsOptions(material, ticketSecrets)
    this.#tls = { material, sni: options.SNICallback }
    const front = tls.createServer({
      ...socketOptions,
      ...options,
      handshakeTimeout: seconds === 0 ? MAX_TIMEOUT_MS : seconds * 1000,
      SNICallback: (name, callback) => this.#tls?.sni(name, callback),
    })
    // As node's own https server, without which a handshake that takes too long is only told.
    front.on('tlsClientError', (_error, socket) => socket.destroy())
    front.on('OCSPRequest', (certificate, _issuer, callback) =>
      callback(
        null,
        this.#tls === undefined ? null : findOcspResponse(this.#tls.material, certificate),
      ),
    )
    return front
  }

  #accept(socket: Socket, isSecure: boolean): void {
    this.#accepted.add(socket)
    if (isSecure) this.#handshaking.add(socket)
    socket.once('close', () => {
      this.#accepted.delete(socket)
      this.#handshaking.delete(socket)
      this.#resolveIfDrained()
    })
    // A front's own limit counts none that it has handed on, and those that say nothing.
    const { worker_connections: limit } = this.#options.config
    if (limit === 0 || this.#accepted.size <= limit) return
    if (this.counters().inFlight >= limit) socket.destroy()
  }

  #handOver(server: http.Server, front: net.Server, socket: Socket): void {
    this.#sockets.add(socket)
    // The handshake has ended in a drain: this one has not been idle yet.
    if (this.#resolveDrain !== undefined) this.hasten(this.#idleMs)
    socket.once('close', () => this.#forgetSocket(socket))
    // Node counts a connection on the server that `_server` names, and lets close() wait for it there.
    serverInternals(front)._connections--
    serverInternals(server)._connections++
    socketInternals(socket)._server = server
    server.emit(connectionEvent(server), socket)
  }

  #forgetSocket(socket: Socket): void {
    this.#sockets.delete(socket)
    this.#resolveIfDrained()
  }

  #resolveIfDrained(): void {
    if (this.#sockets.size === 0 && this.#accepted.size === 0) this.#resolveDrain?.()
  }

  #destroyAll(): void {
    for (const socket of [...this.#sockets, ...this.#accepted]) socket.destroy()
  }

  #closeIdleConnections(): void {
    for (const socket of this.#handshaking) socket.destroy()
    for (const socket of this.#sockets) {
      const message = socketInternals(socket)._httpMessage
      // An answer that has promised keep-alive already is the last one all the same.
      if (message) message._last = true
      else if (!this.#dispatcher?.tunnels.has(socket)) linger(socket)
    }
  }
}

/**
 * Sets what node has settings for, where the program has not or the operator has. Returns the settings for the rest of
 * the limits, which is checked for each request.
 */
function applyServerLimits(
  server: http.Server,
  config: EngineConfig,
  given: GivenSettings,
): EngineConfig {
  const program = programLimits(server, { keepalive: config.keepalive, given })
  const fields = Math.max(program.fields ?? 0, config.limit_request_fields)
  if (program.fields === undefined) server.maxHeadersCount = null
  const line = program.headBytes ?? config.limit_request_line
  const field = program.headBytes ?? config.limit_request_field_size
  const head = program.headBytes ?? Math.min(line + fields * field, MAX_HEAD_BYTES)
  Object.assign(server, { maxHeaderSize: head })
  if (program.headerTimeout === undefined) server.headersTimeout = config.header_timeout * 1000
  if (given.has('limit_requests_per_connection')) {
    server.maxRequestsPerSocket = config.limit_requests_per_connection
  }
  return {
    ...config,
    limit_request_line: line,
    limit_request_fields: fields,
    limit_request_field_size: field,
  }
}

/** An answer whose head is not yet decided says `Connection: close`. */
function markLastResponse(socket: Socket): void {
  const message = socketInternals(socket)._httpMessage
  if (message && !message._header) message.shouldKeepAlive = false
}

/** Half-closes: closing outright would reset the connection under a request that is on its way. */
function linger(socket: Socket): void {
  socket.end()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

async function createServerFor(target: Target, { log }: EngineOptions): Promise<http.Server> {
  if (target.style === 'node') return target.server
  if (target.style === 'exchange') return createExchangeServer(target.handler)
  // Node's fetch classes are 10 MB: loaded only for whoever uses them.
  const { createFetchHandler } = await import('../../http/fetch.ts')
  return createExchangeServer(createFetchHandler(target.fetch, log))
}
