/**
 * Captures `listen()` of an application's http servers: the call succeeds as on node, but no port is opened, since the
 * arbiter's sockets serve the application.
 */

import type { Server } from 'node:http'
import http from 'node:http'
import net from 'node:net'
import { type ListenCall, StandIn } from './fake-handle.ts'
import type { ServerHandle } from './internals.ts'
import { isHttpsServer, serverInternals, setupListenHandle } from './internals.ts'

export interface CaptureOptions {
  /** Where the arbiter listens, as in the log: `http://127.0.0.1:8000` or `unix:/run/app.sock`. */
  readonly publicAddress: string
  /** The port by which a program's own server is known among several; 0 is the first that listens. */
  readonly listenPort?: number
  /** What a further server listens through; null is whatever node makes. */
  readonly further?: FurtherHandle
}

type FurtherHandle = (
  server: Server,
  call: ListenCall,
  flags: number | undefined,
) => ServerHandle | null

/** What became of the application's calls of `listen()`. */
export interface Captured {
  /** The application's server: the first that listened, once one has. */
  readonly server: Server | undefined
  /** Resolves when a server has listened (and has someone to answer requests), or after `ms` without one. */
  wait(ms: number): Promise<Server | undefined>
  /** Takes the capture out again; servers that listen already are not touched. */
  release(): void
}

const POLL_MS = 10

/** Begins to capture; the application must be loaded after this. */
export function captureListen(options: CaptureOptions): Captured {
  const capture = new Capture(options)
  const prototype = serverInternals(http.Server.prototype as unknown as Server)
  prototype._listen2 = function listen2(address, port, addressType, backlog, fd, flags) {
    capture.giveHandle(this, { address, port, addressType }, flags)
    // With a handle node does not bind; all else that listening means is node's own code.
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  // Servers of node:https are none of http's: they are found among all.
  const every = serverInternals(net.Server.prototype as unknown as Server)
  every._listen2 = function listen2(address, port, addressType, backlog, fd, flags) {
    if (isHttpsServer(this)) capture.giveHandle(this, { address, port, addressType }, flags)
    else capture.givePublic(this, { address, port, addressType })
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  net.Server.prototype.listen = function listen(this: net.Server, ...args: unknown[]) {
    if (this instanceof http.Server || isHttpsServer(this)) capture.noteCall(this, args[0])
    return Reflect.apply(originalListen, this, args)
  }
  return capture
}

const originalListen = net.Server.prototype.listen

/** Makes a server that does not listen believe that it does, as an exported `http.Server` has to be. */
export function listenInName(server: Server, publicAddress: string): void {
  if (serverInternals(server)._handle !== null) return
  const port = publicPort(publicAddress)
  serverInternals(server)._handle = new StandIn(
    server,
    { address: null, port, addressType: 4 },
    port,
  )
  setupListenHandle.call(server, null, port, 4, undefined, undefined, undefined)
}

class Capture implements Captured {
  readonly #publicPort: number
  readonly #listenPort: number
  readonly #further: FurtherHandle
  #main: Server | undefined
  #mainCall: ListenCall | undefined
  /** Has called `listen()` before all others, and may still wait for an address of its host. */
  #claimant: Server | undefined
  /** Listened on port 0 for real: taken as the application only when nobody else listens. */
  #onPortZero: Server | undefined

  constructor({ publicAddress, listenPort = 0, further = () => null }: CaptureOptions) {
    this.#publicPort = publicPort(publicAddress)
    this.#listenPort = listenPort
    this.#further = further
  }

  get server(): Server | undefined {
    return this.#main
  }

  async wait(ms: number): Promise<Server | undefined> {
    for (let waited = 0; !isServing(this.#main) && waited < ms; waited += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      if (this.#main === undefined && isServing(this.#onPortZero)) this.#main = this.#onPortZero
    }
    return this.#main
  }

  release(): void {
    Reflect.deleteProperty(http.Server.prototype, '_listen2')
    serverInternals(net.Server.prototype as unknown as Server)._listen2 = setupListenHandle
    net.Server.prototype.listen = originalListen
  }

  /**
   * The first that calls is the application. It is noted here, since node looks a host up before it comes to `_listen2`,
   * even one that is an address: a server without a host would overtake it.
   */
  noteCall(server: Server, first: unknown): void {
    const asked = typeof first === 'object' && first !== null ? Reflect.get(first, 'port') : first
    const port = Number(asked)
    if (!(port > 0 && port <= MAX_PORT)) return
    if (this.#listenPort === 0 || port === this.#listenPort) this.#claimant ??= server
  }

  giveHandle(server: Server, call: ListenCall, flags: number | undefined): void {
    const internals = serverInternals(server)
    // A handle or a descriptor that the application brought itself stays its own.
    if (internals._handle !== null || call.addressType === null) return
    if (call.port === 0) {
      if (this.#listenPort === 0) this.#onPortZero ??= server
    } else if (this.#isMain(server, call)) {
      this.#main = server
      this.#mainCall = call
      internals._handle = new StandIn(server, call, this.#publicPort)
    } else if (this.#isSibling(call)) {
      internals._handle = new StandIn(server, call, this.#publicPort)
    } else if (call.addressType !== PATH) {
      internals._handle = this.#further(server, call, flags)
    }
  }

  /** Many look by a server of node:net first whether `process.env.PORT` is free: for this program it is. */
  givePublic(server: net.Server, call: ListenCall): void {
    const internals = serverInternals(server as Server)
    if (Object.getPrototypeOf(server) !== net.Server.prototype || internals._handle !== null) return
    const isPublic = call.port !== 0 && call.port === this.#publicPort
    if (!isPublic || call.addressType === PATH || call.addressType === null) return
    internals._handle = new StandIn(server as Server, call, this.#publicPort)
  }

  #isMain(server: Server, { port }: ListenCall): boolean {
    const first = this.#main ?? this.#claimant
    if (first !== undefined) return first === server
    return this.#listenPort === 0 || port === this.#listenPort
  }

  /** Fastify opens one more server for each address of `localhost`, on the same port: the first serves for all. */
  #isSibling(call: ListenCall): boolean {
    const main = this.#mainCall
    if (main === undefined || call.addressType === PATH || call.address === main.address) {
      return false
    }
    return call.port === main.port || call.port === this.#publicPort
  }
}

const MAX_PORT = 65_535

/** Node's address type of a unix socket path. */
const PATH = -1

function isServing(server: Server | undefined): boolean {
  return server?.listening === true && server.listenerCount('request') > 0
}

function publicPort(address: string): number {
  return address.startsWith('unix:') ? 0 : Number(/:(\d+)$/.exec(address)?.[1] ?? 0)
}
