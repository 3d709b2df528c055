/**
 * The engine on node:http, for platforms without the native addon. It listens on the arbiter's
 * descriptors. The page docs/engines.md lists what it does not support.
 */
import type http from 'node:http'
import type { Socket } from 'node:net'
import net from 'node:net'
import tls from 'node:tls'
import { connectionEvent, serverInternals, socketInternals } from '../../http/node/internals.ts'
import { type GivenSettings, programLimits } from '../../http/node/program-limits.ts'
import { prepareServer } from '../../http/node/server.ts'
import { setInFlightSource } from '../../http/uncaught-errors.ts'
import { IDLE_DRAIN_MS } from '../../messages.ts'
import type { TlsMaterial } from '../../tls/material.ts'
import { createNodeTlsOptions, findOcspResponse, isClientRejected } from '../../tls/node-options.ts'
import { abandonHandler } from '../background-work.ts'
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

/** The longest delay of a Node.js timer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** Time that a half-closed connection waits for the client to close. */
const LINGER_MS = 1000

/** Values that turn a setting off. */
const DISABLING_VALUES: readonly unknown[] = [0, false, 'off']

/**
 * Limit of `maxHeaderSize`. Node.js allocates no memory for it in advance, but reads a head up to
 * this size.
 */
const MAX_HEAD_BYTES = 128 * 1024

/** Creates the engine on node:http; it does not listen yet. */
export function createNodeEngine(options: EngineOptions): Engine {
  return new NodeEngine(options)
}

/** Serves one application on any number of descriptors. */
class NodeEngine implements Engine {
  readonly name = 'node'
  readonly #options: EngineOptions
  /** All accepted TCP sockets, with those whose TLS handshake is pending. */
  readonly #accepted = new Set<Socket>()
  /** The accepted sockets whose TLS handshake is pending. */
  readonly #handshaking = new Set<Socket>()
  /** The sockets that the application's server has; with TLS these are the TLS sockets. */
  readonly #sockets = new Set<Socket>()
  readonly #frontServers: net.Server[] = []
  #server: http.Server | undefined
  #style: Target['style'] | undefined
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
    this.#style = target.style
    const limited = applyServerLimits(server, config, given)
    this.#logUnsupportedSettings(given)
    this.#dispatcher = new NodeDispatcher(server, { ...this.#options, config: limited })
    setInFlightSource(() => this.#responses())
    for (const listener of listeners) this.#listen(server, listener)
  }

  /** The responses that are not complete. */
  #responses(): http.ServerResponse[] {
    return [...this.#sockets].flatMap((socket) => socketInternals(socket)._httpMessage ?? [])
  }

  pause(): void {
    for (const front of this.#frontServers) front.close()
  }

  // Not possible: `close()` of a Node.js server closes the descriptor.
  resume(): boolean {
    return false
  }

  announceStop(): void {
    this.#dispatcher?.health.announceStop()
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
    // Destroying the sockets emits their 'close' events, and the last one resolves the drain.
    const grace = setTimeout(() => this.#destroyAll(), graceMs)
    this.#resolveIfDrained()
    await gone
    clearTimeout(this.#idleTimer)
    clearTimeout(grace)
    this.#dispatcher?.flush()
  }

  // A program may call this method in its SIGTERM listener. A connection that looks idle may have a
  // request on its way, so it stays open for a moment and closes after that response.
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

  /** Logs the settings that the operator has set and this engine does not support. */
  #logUnsupportedSettings(given: GivenSettings): void {
    const { config } = this.#options
    const { http_protocols = null, http2_cleartext = null } = config
    if (asksForHttp2({ http_protocols }) || http2_cleartext === 'prior-knowledge') {
      this.#options.log.warning(
        'the engine on node:http speaks HTTP/1.1 only, not HTTP/2: see docs/engines.md',
      )
    }
    const unsupported: string[] = IGNORED_BY_NODE.filter(
      (name) => given.has(name) && !DISABLING_VALUES.includes(config[name]),
    )
    if (this.#options.tls?.requiresCloseNotify === true) unsupported.push('suppress_ragged_eofs')
    if (unsupported.length === 0) return
    this.#options.log.warning(
      `the engine on node:http does not support ${unsupported.join(', ')}: see docs/engines.md`,
    )
  }

  secure(material: TlsMaterial | undefined, secrets: readonly string[]): void {
    if (material === undefined) return
    const options = createNodeTlsOptions(material, secrets)
    for (const front of this.#frontServers)
      if (front instanceof tls.Server) front.setSecureContext(options)
    this.#tls = { material, sni: options.SNICallback }
  }

  /**
   * Listens on one descriptor with a server of its own, which passes its connections to the
   * application's server: a Node.js server listens on only one.
   */
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
    front.listen({ fd }, this.#options.config.backlog)
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
    // Like Node's https server: without the listener, a handshake that times out is reported but
    // not closed.
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
    // Not `maxConnections` of the front server: it counts no connections that have been passed on,
    // but counts idle ones.
    const { worker_connections: limit } = this.#options.config
    if (limit === 0 || this.#accepted.size <= limit) return
    if (this.counters().inFlight >= limit) socket.destroy()
  }

  #handOver(server: http.Server, front: net.Server, socket: Socket): void {
    this.#sockets.add(socket)
    // The handshake has completed during a drain: the connection gets its idle time from now on.
    if (this.#resolveDrain !== undefined) this.hasten(this.#idleMs)
    socket.once('close', () => this.#forgetSocket(socket))
    // Node.js counts the connection at the server in `_server`, whose close() waits for it.
    serverInternals(front)._connections--
    serverInternals(server)._connections++
    socketInternals(socket)._server = server
    server.emit(connectionEvent(server), socket)
  }

  #forgetSocket(socket: Socket): void {
    const res = socketInternals(socket)._httpMessage
    // The handlers of the fetch style are noted by their own exchanges.
    if (res && this.#style === 'node') abandonHandler(() => res.writableEnded)
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
      // The last response, even if its head has promised keep-alive.
      if (message) message._last = true
      else if (!this.#dispatcher?.tunnels.has(socket)) linger(socket)
    }
  }
}

/**
 * Sets Node's own limits on the server, unless the program has set them and the operator has not.
 * Returns the settings for the limits that are checked for each request.
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

/** Adds `Connection: close` to the pending response, unless its head has been rendered. */
function markLastResponse(socket: Socket): void {
  const message = socketInternals(socket)._httpMessage
  if (message && !message._header) message.shouldKeepAlive = false
}

/** Half-closes the connection: a full close would reset it under a request that is on its way. */
function linger(socket: Socket): void {
  socket.end()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

async function createServerFor(target: Target, { log }: EngineOptions): Promise<http.Server> {
  if (target.style === 'node') return target.server
  if (target.style === 'exchange') return createExchangeServer(target.handler)
  // Loaded only for fetch style: Node's fetch classes take 10 MB.
  const { createFetchHandler } = await import('../../http/fetch.ts')
  return createExchangeServer(createFetchHandler(target.fetch, log))
}
