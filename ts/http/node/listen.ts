/**
 * Captures the calls of `listen()` on an application's http servers. The call succeeds as on node,
 * but opens no port: the arbiter's sockets serve the application.
 */

import http, { type Server } from 'node:http'
import net from 'node:net'
import { FakeHandle, type ListenArguments, type PublicAddress } from './fake-handle.ts'
import type { ServerHandle } from './internals.ts'
import { isHttpsServer, serverInternals, setupListenHandle } from './internals.ts'

export interface CaptureOptions {
  /**
   * The arbiter's first address as the log shows it: `http://127.0.0.1:8000` or
   * `unix:/run/app.sock`.
   */
  readonly publicAddress: string
  /**
   * The port that identifies the application's main server; 0 takes the first server that listens.
   */
  readonly listenPort?: number
  /** Creates the handle of a server beside the main one; null lets node bind it. */
  readonly createExtraHandle?: CreateExtraHandle
}

type CreateExtraHandle = (
  server: Server,
  args: ListenArguments,
  flags: number | undefined,
) => ServerHandle | null

/** A running capture of `listen()` calls. */
export interface ListenCapture {
  /** The application's main server; undefined until it listens. */
  readonly server: Server | undefined
  /**
   * Resolves when the main server listens and has a 'request' listener, or to undefined after `ms`.
   */
  waitForServer(ms: number): Promise<Server | undefined>
  /** Restores node's `listen`. Servers that listen already are not changed. */
  restoreListen(): void
}

const POLL_MS = 10

/** Starts to capture. Call this before the application loads. */
export function captureListen(options: CaptureOptions): ListenCapture {
  const capture = new Capture(options)
  serverInternals(http.Server.prototype)._listen2 = function listen2(
    address,
    port,
    addressType,
    backlog,
    fd,
    flags,
  ) {
    capture.assignHandle(this, { address, port, addressType }, flags)
    // A server that has a handle does not bind. Node's own code does the rest of `listen`.
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  // A server of node:https is a tls.Server and no http.Server, so it is found among all servers of
  // node:net.
  serverInternals(net.Server.prototype)._listen2 = function listen2(
    address,
    port,
    addressType,
    backlog,
    fd,
    flags,
  ) {
    if (isHttpsServer(this)) capture.assignHandle(this, { address, port, addressType }, flags)
    else capture.assignPublicHandle(this, { address, port, addressType })
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  net.Server.prototype.listen = function listen(this: net.Server, ...args: unknown[]) {
    if (this instanceof http.Server || isHttpsServer(this)) capture.noteListenCall(this, args[0])
    return Reflect.apply(originalListen, this, args)
  }
  return capture
}

const originalListen = net.Server.prototype.listen

/**
 * Makes a server that does not listen appear to listen on `publicAddress`: an application may
 * export its server.
 */
export function pretendToListen(server: Server, publicAddress: string): void {
  if (serverInternals(server)._handle !== null) return
  const bound = parsePublicAddress(publicAddress)
  const port = bound?.port ?? 0
  const requested = { address: null, port, addressType: 4 }
  serverInternals(server)._handle = new FakeHandle(server, requested, bound)
  setupListenHandle.call(server, null, port, 4, undefined, undefined, undefined)
}

class Capture implements ListenCapture {
  readonly #bound: PublicAddress | undefined
  readonly #listenPort: number
  readonly #createExtraHandle: CreateExtraHandle
  #mainServer: Server | undefined
  #mainArguments: ListenArguments | undefined
  /** The server whose `listen` was called first. Its host name may not be resolved yet. */
  #firstCaller: Server | undefined
  /** A server that really listens on port 0. It is the main server only if no other listens. */
  #portZeroServer: Server | undefined

  constructor({ publicAddress, listenPort = 0, createExtraHandle = () => null }: CaptureOptions) {
    this.#bound = parsePublicAddress(publicAddress)
    this.#listenPort = listenPort
    this.#createExtraHandle = createExtraHandle
  }

  get server(): Server | undefined {
    return this.#mainServer
  }

  async waitForServer(ms: number): Promise<Server | undefined> {
    for (let waitedMs = 0; !isServing(this.#mainServer) && waitedMs < ms; waitedMs += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      if (this.#mainServer === undefined && isServing(this.#portZeroServer)) {
        this.#mainServer = this.#portZeroServer
      }
    }
    return this.#mainServer
  }

  restoreListen(): void {
    Reflect.deleteProperty(http.Server.prototype, '_listen2')
    serverInternals(net.Server.prototype)._listen2 = setupListenHandle
    net.Server.prototype.listen = originalListen
  }

  /**
   * Notes a call of `listen`, whose first caller is the main server. Node resolves a host, even one
   * that is an address, before it calls `_listen2`. A later call without a host reaches `_listen2`
   * first.
   */
  noteListenCall(server: Server, first: unknown): void {
    const asked = typeof first === 'object' && first !== null ? Reflect.get(first, 'port') : first
    const port = Number(asked)
    if (!(port > 0 && port <= MAX_PORT)) return
    if (this.#listenPort === 0 || port === this.#listenPort) this.#firstCaller ??= server
  }

  /** Sets the handle of an http or https server before node would bind one. */
  assignHandle(server: Server, args: ListenArguments, flags: number | undefined): void {
    const internals = serverInternals(server)
    // A server keeps a handle or a descriptor that the application has given it.
    if (internals._handle !== null || args.addressType === null) return
    if (args.port === 0) {
      if (this.#listenPort === 0) this.#portZeroServer ??= server
    } else if (this.#isMain(server, args)) {
      this.#mainServer = server
      this.#mainArguments = args
      internals._handle = new FakeHandle(server, args, this.#bound)
    } else if (this.#isSibling(args)) {
      internals._handle = new FakeHandle(server, args, this.#bound)
    } else if (args.addressType !== PATH_ADDRESS_TYPE) {
      internals._handle = this.#createExtraHandle(server, args, flags)
    }
  }

  /**
   * Sets a fake handle on a plain server of node:net that listens on the public port. Many
   * applications probe with one whether `process.env.PORT` is free, and for this application it is.
   */
  assignPublicHandle(server: net.Server, args: ListenArguments): void {
    const internals = serverInternals(server)
    if (Object.getPrototypeOf(server) !== net.Server.prototype || internals._handle !== null) return
    const isPublic = args.port !== 0 && args.port === this.#bound?.port
    if (!isPublic || args.addressType === PATH_ADDRESS_TYPE || args.addressType === null) return
    internals._handle = new FakeHandle(server, args, this.#bound)
  }

  #isMain(server: Server, { port }: ListenArguments): boolean {
    const first = this.#mainServer ?? this.#firstCaller
    if (first !== undefined) return first === server
    return this.#listenPort === 0 || port === this.#listenPort
  }

  /**
   * Whether a server is a copy of the main one on the same port. Fastify opens a server for each
   * address of `localhost`; the first one serves all requests.
   */
  #isSibling(args: ListenArguments): boolean {
    const main = this.#mainArguments
    if (main === undefined || args.addressType === PATH_ADDRESS_TYPE) return false
    if (args.address === main.address) return false
    return args.port === main.port || args.port === this.#bound?.port
  }
}

const MAX_PORT = 65_535

/** The address type that node uses for the path of a unix socket. */
const PATH_ADDRESS_TYPE = -1

function isServing(server: Server | undefined): boolean {
  return server?.listening === true && server.listenerCount('request') > 0
}

/** Parses an address as the log shows it; undefined for a unix socket. */
function parsePublicAddress(address: string): PublicAddress | undefined {
  const [, host, port] = /^\w+:\/\/\[?([^\]]+?)\]?:(\d+)$/.exec(address) ?? []
  return host === undefined ? undefined : { host, port: Number(port) }
}
