/**
 * Captures `listen()` of an application's http servers: the call succeeds as on node, but no port is opened, since the
 * arbiter's sockets serve the application.
 */

import type { Server } from 'node:http'
import http from 'node:http'
import net from 'node:net'
import { FakeHandle, type ListenArguments } from './fake-handle.ts'
import type { ServerHandle } from './internals.ts'
import { isHttpsServer, serverInternals, setupListenHandle } from './internals.ts'

export interface CaptureOptions {
  /** Where the arbiter listens, as in the log: `http://127.0.0.1:8000` or `unix:/run/app.sock`. */
  readonly publicAddress: string
  /** The port by which a program's own server is known among several; 0 is the first that listens. */
  readonly listenPort?: number
  /** What a further server listens through; null is whatever node makes. */
  readonly createExtraHandle?: CreateExtraHandle
}

type CreateExtraHandle = (
  server: Server,
  args: ListenArguments,
  flags: number | undefined,
) => ServerHandle | null

/** What became of the application's calls of `listen()`. */
export interface ListenCapture {
  /** The application's server: the first that listened, once one has. */
  readonly server: Server | undefined
  /** Resolves when a server has listened (and has someone to answer requests), or after `ms` without one. */
  waitForServer(ms: number): Promise<Server | undefined>
  /** Takes the capture out again; servers that listen already are not touched. */
  restoreListen(): void
}

const POLL_MS = 10

/** Begins to capture; the application must be loaded after this. */
export function captureListen(options: CaptureOptions): ListenCapture {
  const capture = new Capture(options)
  const prototype = serverInternals(http.Server.prototype as unknown as Server)
  prototype._listen2 = function listen2(address, port, addressType, backlog, fd, flags) {
    capture.assignHandle(this, { address, port, addressType }, flags)
    // With a handle node does not bind; all else that listening means is node's own code.
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  // Servers of node:https are none of http's: they are found among all.
  const every = serverInternals(net.Server.prototype as unknown as Server)
  every._listen2 = function listen2(address, port, addressType, backlog, fd, flags) {
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

/** Makes a server that does not listen believe that it does, as an exported `http.Server` has to be. */
export function pretendToListen(server: Server, publicAddress: string): void {
  if (serverInternals(server)._handle !== null) return
  const port = portOf(publicAddress)
  serverInternals(server)._handle = new FakeHandle(
    server,
    { address: null, port, addressType: 4 },
    port,
  )
  setupListenHandle.call(server, null, port, 4, undefined, undefined, undefined)
}

class Capture implements ListenCapture {
  readonly #publicPort: number
  readonly #listenPort: number
  readonly #createExtraHandle: CreateExtraHandle
  #mainServer: Server | undefined
  #mainArguments: ListenArguments | undefined
  /** Has called `listen()` before all others, and may still wait for an address of its host. */
  #firstCaller: Server | undefined
  /** Listened on port 0 for real: taken as the application only when nobody else listens. */
  #portZeroServer: Server | undefined

  constructor({
    publicAddress,
    listenPort = 0,
    createExtraHandle: further = () => null,
  }: CaptureOptions) {
    this.#publicPort = portOf(publicAddress)
    this.#listenPort = listenPort
    this.#createExtraHandle = further
  }

  get server(): Server | undefined {
    return this.#mainServer
  }

  async waitForServer(ms: number): Promise<Server | undefined> {
    for (let waited = 0; !isServing(this.#mainServer) && waited < ms; waited += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      if (this.#mainServer === undefined && isServing(this.#portZeroServer))
        this.#mainServer = this.#portZeroServer
    }
    return this.#mainServer
  }

  restoreListen(): void {
    Reflect.deleteProperty(http.Server.prototype, '_listen2')
    serverInternals(net.Server.prototype as unknown as Server)._listen2 = setupListenHandle
    net.Server.prototype.listen = originalListen
  }

  /**
   * The first that calls is the application. It is noted here, since node looks a host up before it comes to `_listen2`,
   * even one that is an address: a server without a host would overtake it.
   */
  noteListenCall(server: Server, first: unknown): void {
    const asked = typeof first === 'object' && first !== null ? Reflect.get(first, 'port') : first
    const port = Number(asked)
    if (!(port > 0 && port <= MAX_PORT)) return
    if (this.#listenPort === 0 || port === this.#listenPort) this.#firstCaller ??= server
  }

  assignHandle(server: Server, args: ListenArguments, flags: number | undefined): void {
    const internals = serverInternals(server)
    // A handle or a descriptor that the application brought itself stays its own.
    if (internals._handle !== null || args.addressType === null) return
    if (args.port === 0) {
      if (this.#listenPort === 0) this.#portZeroServer ??= server
    } else if (this.#isMain(server, args)) {
      this.#mainServer = server
      this.#mainArguments = args
      internals._handle = new FakeHandle(server, args, this.#publicPort)
    } else if (this.#isSibling(args)) {
      internals._handle = new FakeHandle(server, args, this.#publicPort)
    } else if (args.addressType !== PATH_ADDRESS_TYPE) {
      internals._handle = this.#createExtraHandle(server, args, flags)
    }
  }

  /** Many look by a server of node:net first whether `process.env.PORT` is free: for this program it is. */
  assignPublicHandle(server: net.Server, args: ListenArguments): void {
    const internals = serverInternals(server as Server)
    if (Object.getPrototypeOf(server) !== net.Server.prototype || internals._handle !== null) return
    const isPublic = args.port !== 0 && args.port === this.#publicPort
    if (!isPublic || args.addressType === PATH_ADDRESS_TYPE || args.addressType === null) return
    internals._handle = new FakeHandle(server as Server, args, this.#publicPort)
  }

  #isMain(server: Server, { port }: ListenArguments): boolean {
    const first = this.#mainServer ?? this.#firstCaller
    if (first !== undefined) return first === server
    return this.#listenPort === 0 || port === this.#listenPort
  }

  /** Fastify opens one more server for each address of `localhost`, on the same port: the first serves for all. */
  #isSibling(args: ListenArguments): boolean {
    const main = this.#mainArguments
    if (
      main === undefined ||
      args.addressType === PATH_ADDRESS_TYPE ||
      args.address === main.address
    ) {
      return false
    }
    return args.port === main.port || args.port === this.#publicPort
  }
}

const MAX_PORT = 65_535

/** Node's address type of a unix socket path. */
const PATH_ADDRESS_TYPE = -1

function isServing(server: Server | undefined): boolean {
  return server?.listening === true && server.listenerCount('request') > 0
}

function portOf(address: string): number {
  return address.startsWith('unix:') ? 0 : Number(/:(\d+)$/.exec(address)?.[1] ?? 0)
}
