/**
 * A program's further servers: a metrics port, an admin page. The arbiter binds their addresses, so that all workers
 * listen there; node serves them.
 */

import type { Server } from 'node:http'
import { FakeHandle, type ListenArguments } from '../http/node/fake-handle.ts'
import type { ServerHandle } from '../http/node/internals.ts'
import { createServerHandle } from '../http/node/internals.ts'
import { DESCRIPTOR_CHANNEL_FD, type ExtraListenerAddress } from '../messages.ts'
import { native } from '../native/index.ts'
import type { Channel } from './channel.ts'

/** How long the arbiter's answer is waited for, in seconds: it comes at once, unless the arbiter is stopped. */
const RESPONSE_TIMEOUT_SECONDS = 5
/** While a worker drains, how often it is looked whether the further servers have any connection left. */
const POLL_INTERVAL_MS = 50
/** Node's flag of a server that takes no IPv4, and the one of a server that shares its port by itself. */
const IPV6_ONLY = 1
const REUSE_PORT = 2

export class ExtraServers {
  readonly #channel: Channel
  /** The application is only looked at: nothing is opened. */
  readonly #isCheck: boolean
  /** Those that listen, and what ends that without the program's knowledge. */
  readonly #servers = new Map<Server, () => void>()
  #questions = 0

  constructor(channel: Channel, { isCheck }: { isCheck: boolean }) {
    this.#channel = channel
    this.#isCheck = isCheck
  }

  /** What the server listens through; null leaves it to node, who then reports what goes wrong. */
  createHandle(
    server: Server,
    call: ListenArguments,
    flags: number | undefined,
  ): ServerHandle | null {
    if (this.#isCheck) return new FakeHandle(server, call, 0)
    if (((flags ?? 0) & REUSE_PORT) !== 0) return null
    if (native === null) return bindOrPretend(server, call)
    const address = {
      host: call.address,
      port: call.port ?? 0,
      ipv6Only: ((flags ?? 0) & IPV6_ONLY) !== 0,
    }
    const handle = this.#ask(address)
    if (handle === null) return null
    const { close } = handle
    this.#servers.set(server, () => close.call(handle))
    const tell = (): void => {
      if (this.#servers.delete(server)) this.#channel.send({ type: 'unlisten', ...address })
    }
    // On the handle itself, so that it stays one of node's.
    Object.defineProperty(handle, 'close', {
      configurable: true,
      value(this: ServerHandle, callback?: () => void) {
        tell()
        close.call(this, callback)
      },
    })
    return handle
  }

  /** Accepts no more, and resolves when what is in hand has been answered, or after `graceMs`. */
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

  #ask(address: ExtraListenerAddress): ServerHandle | null {
    const id = ++this.#questions
    const question = `${JSON.stringify({ type: 'listen', id, ...address })}\n`
    try {
      const fd = native?.requestDescriptor(
        DESCRIPTOR_CHANNEL_FD,
        question,
        id,
        RESPONSE_TIMEOUT_SECONDS,
      )
      if (fd == null) return null
      const handle = createServerHandle({ address: null, port: null, addressType: null, fd })
      return typeof handle === 'number' ? null : handle
    } catch {
      // The arbiter is gone or stopped: node's own attempt is what is left.
      return null
    }
  }
}

function countConnections(server: Server): number {
  return (server as unknown as { _connections: number })._connections
}

/** Without the addon a socket cannot be passed on: the first worker that asks has it, the others believe so. */
function bindOrPretend(server: Server, call: ListenArguments): ServerHandle {
  const handle = createServerHandle(call)
  if (typeof handle === 'number') return new FakeHandle(server, call, 0)
  // Of an address in use libuv says so only when it is asked.
  if (handle.getsockname({}) === 0) return handle
  handle.close()
  return new FakeHandle(server, call, 0)
}
