/**
 * Captures `listen()` of an application's http servers: the call succeeds as on node, but no port is opened, since the
 * arbiter's sockets serve the application.
 */

import type { Server } from 'node:http'
import http from 'node:http'
import { native } from '../../native/index.ts'
import type { ServerHandle } from './internals.ts'
import { createServerHandle, serverInternals, setupListenHandle } from './internals.ts'

export interface CaptureOptions {
  /** Where the arbiter listens, as in the log: `http://127.0.0.1:8000` or `unix:/run/app.sock`. */
  readonly publicAddress: string
}

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
  const capture = new Capture(publicPort(options.publicAddress))
  const prototype = serverInternals(http.Server.prototype as unknown as Server)
  prototype._listen2 = function listen2(address, port, addressType, backlog, fd, flags) {
    capture.giveHandle(this, { address, port, addressType })
    // With a handle node does not bind; all else that listening means is node's own code.
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  return capture
}

/** Makes a server that does not listen believe that it does, as an exported `http.Server` has to be. */
export function listenInName(server: Server, publicAddress: string): void {
  if (serverInternals(server)._handle !== null) return
  const port = publicPort(publicAddress)
  serverInternals(server)._handle = new StandIn({ address: null, port, addressType: 4 }, port)
  setupListenHandle.call(server, null, port, 4, undefined, undefined, undefined)
}

/** What the application asked for; node passes a path as address with the type -1, and no host as null. */
interface ListenCall {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
}

class Capture implements Captured {
  readonly #publicPort: number
  #main: Server | undefined
  #mainCall: ListenCall | undefined
  /** Listened on port 0 for real: taken as the application only when nobody else listens. */
  #onPortZero: Server | undefined

  constructor(port: number) {
    this.#publicPort = port
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
  }

  giveHandle(server: Server, call: ListenCall): void {
    const internals = serverInternals(server)
    // A handle or a descriptor that the application brought itself stays its own.
    if (internals._handle !== null || call.addressType === null) return
    if (call.port === 0) {
      this.#onPortZero ??= server
    } else if (this.#main === undefined || this.#main === server) {
      this.#main = server
      this.#mainCall = call
      internals._handle = new StandIn(call, this.#publicPort)
    } else if (this.#isSibling(call)) {
      internals._handle = new StandIn(call, this.#publicPort)
    } else if (call.addressType !== PATH) {
      internals._handle = shareAddress(call)
    }
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

/** Node's address type of a unix socket path. */
const PATH = -1

function isServing(server: Server | undefined): boolean {
  return server?.listening === true && server.listenerCount('request') > 0
}

function publicPort(address: string): number {
  return address.startsWith('unix:') ? 0 : Number(/:(\d+)$/.exec(address)?.[1] ?? 0)
}

/**
 * A further server of the application (a metrics port): every worker listens on it, which SO_REUSEPORT allows. Without
 * the addon the first worker has it; null lets node bind, and report what goes wrong, as ever.
 */
function shareAddress({ address, port, addressType }: ListenCall): ServerHandle | null {
  const host = address ?? '::'
  if (native !== null) {
    try {
      const fd = native.bindTcp(host, port ?? 0, 511, true, false)
      return createServerHandleOf(fd)
    } catch {
      // Node's own attempt below gives the application the error with node's code and text.
      return null
    }
  }
  if (process.env.MONOCEROS_WORKER === undefined) return null
  const handle = createServerHandle(address, port, addressType)
  if (typeof handle !== 'number') return handle
  return new StandIn({ address, port, addressType }, port ?? 0)
}

function createServerHandleOf(fd: number): ServerHandle | null {
  const handle = createServerHandle(null, null, null, fd)
  return typeof handle === 'number' ? null : handle
}

/** A handle without a descriptor: what a captured server has, and all that node's server code asks of one. */
class StandIn implements ServerHandle {
  readonly #call: ListenCall
  readonly #port: number

  constructor(call: ListenCall, port: number) {
    this.#call = call
    this.#port = port
  }

  listen(): number {
    return 0
  }

  close(callback?: () => void): void {
    if (callback !== undefined) process.nextTick(callback)
  }

  // The process lives on by the engine's sockets and the arbiter's channel, not by this.
  ref(): void {}

  unref(): void {}

  getsockname(out: { address?: string; family?: string; port?: number }): number {
    // Without a host node binds `::`, if the system has IPv6.
    const address = this.#call.address ?? '::'
    out.address = address
    out.family = address.includes(':') ? 'IPv6' : 'IPv4'
    out.port = this.#port === 0 ? (this.#call.port ?? 0) : this.#port
    return 0
  }
}
