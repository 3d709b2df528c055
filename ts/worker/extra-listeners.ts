/**
 * Extra servers of a program beside the one that Monoceros serves: a metrics port, an admin page.
 * The arbiter binds their addresses so that all workers can listen there; Node.js serves the
 * connections.
 */

import type { Server } from 'node:http'
import { FakeHandle, type ListenArguments } from '../http/node/fake-handle.ts'
import type { ServerHandle } from '../http/node/internals.ts'
import { createServerHandle } from '../http/node/internals.ts'
import { DESCRIPTOR_CHANNEL_FD, type ExtraListenerAddress } from '../messages.ts'
import { native } from '../native/index.ts'
import type { Channel } from './channel.ts'

/**
 * Time limit, in seconds, of the arbiter's response. A running arbiter responds at once; a stopped
 * one does not.
 */
const RESPONSE_TIMEOUT_SECONDS = 5
/** Interval between two checks, during a drain, whether extra servers have connections left. */
const POLL_INTERVAL_MS = 50
/** Flag of Node's server handles: the option `ipv6Only` of `listen()` (UV_TCP_IPV6ONLY). */
const IPV6_ONLY = 1
/** Flag of Node's server handles: the option `reusePort` of `listen()` (UV_TCP_REUSEPORT). */
const REUSE_PORT = 2

/** The extra servers of the program in this worker. */
export class ExtraServers {
  readonly #channel: Channel
  /** Run of `--check-config`: no socket is opened. */
  readonly #isCheck: boolean
  /**
   * The servers that listen, each with a function that closes its handle and emits no 'close' to
   * the program.
   */
  readonly #servers = new Map<Server, () => void>()
  #lastRequestId = 0

  constructor(channel: Channel, { isCheck }: { isCheck: boolean }) {
    this.#channel = channel
    this.#isCheck = isCheck
  }

  /**
   * Creates the handle for a `listen()` call; null lets Node.js bind, and report any error, itself.
   */
  createHandle(
    server: Server,
    call: ListenArguments,
    flags: number | undefined,
  ): ServerHandle | null {
    if (this.#isCheck) return new FakeHandle(server, call)
    if (((flags ?? 0) & REUSE_PORT) !== 0) return null
    if (native === null) return bindOrPretend(server, call)
    const address = {
      host: call.address,
      port: call.port ?? 0,
      ipv6Only: ((flags ?? 0) & IPV6_ONLY) !== 0,
    }
    const handle = this.#requestHandle(address)
    if (handle === null) return null
    const { close } = handle
    this.#servers.set(server, () => close.call(handle))
    const reportClose = (): void => {
      if (this.#servers.delete(server)) this.#channel.send({ type: 'unlisten', ...address })
    }
    // Replaces the method and not the handle: Node.js needs one of its own class.
    Object.defineProperty(handle, 'close', {
      configurable: true,
      value(this: ServerHandle, callback?: () => void) {
        reportClose()
        close.call(this, callback)
      },
    })
    return handle
  }

  /**
   * Stops accepting; resolves when no connection is left, or after `graceMs`. Idle connections are
   * closed.
   */
  async drain(graceMs: number): Promise<void> {
    const servers = [...this.#servers.keys()]
    for (const stop of this.#servers.values()) stop()
    for (let waited = 0; waited < graceMs; waited += POLL_INTERVAL_MS) {
      const left = servers.filter((server) => countConnections(server) > 0)
      if (left.length === 0) return
      for (const server of left) server.closeIdleConnections()
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
    }
  }

  #requestHandle(address: ExtraListenerAddress): ServerHandle | null {
    const id = ++this.#lastRequestId
    const request = `${JSON.stringify({ type: 'listen', id, ...address })}\n`
    try {
      const fd = native?.requestDescriptor(
        DESCRIPTOR_CHANNEL_FD,
        request,
        id,
        RESPONSE_TIMEOUT_SECONDS,
      )
      if (fd == null) return null
      const handle = createServerHandle({ address: null, port: null, addressType: null, fd })
      return typeof handle === 'number' ? null : handle
    } catch {
      // The arbiter is dead or stopped: Node.js tries to bind the address itself.
      return null
    }
  }
}

/** Reads the private counter of node:net; `getConnections` would have to ask asynchronously. */
function countConnections(server: Server): number {
  return Reflect.get(server, '_connections')
}

/**
 * Binds the address in this worker, or pretends to where another worker has bound it. Without the
 * addon, descriptors cannot be passed between processes, so only one worker can listen.
 */
function bindOrPretend(server: Server, call: ListenArguments): ServerHandle {
  const handle = createServerHandle(call)
  if (typeof handle === 'number') return new FakeHandle(server, call)
  // libuv reports EADDRINUSE not from `bind` but from a later call, such as `getsockname`.
  if (handle.getsockname({}) === 0) return handle
  handle.close()
  return new FakeHandle(server, call)
}
