/** A handle without a descriptor: what a captured server has, and all that node's server code asks of one. */

import type { Server } from 'node:http'
import type { ServerHandle } from './internals.ts'

/** What the application asked for; node passes a path as address with the type -1, and no host as null. */
export interface ListenArguments {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
}

/** Who serves a captured server hears when its program closes it, and when it listens again. */
export interface ListenObserver {
  onClose(): void
  onListen(): void
}

const observers = new WeakMap<Server, ListenObserver>()

/** From now on `follower` hears what the program does with its server. */
export function observeListening(server: Server, observer: ListenObserver): void {
  observers.set(server, observer)
}

export class FakeHandle implements ServerHandle {
  readonly #server: Server
  readonly #requested: ListenArguments
  readonly #shownPort: number

  /** `port` is the one that is shown; 0 leaves the one that was asked for. */
  constructor(server: Server, requested: ListenArguments, port: number) {
    this.#server = server
    this.#requested = requested
    this.#shownPort = port
  }

  listen(): number {
    observers.get(this.#server)?.onListen()
    return 0
  }

  close(callback?: () => void): void {
    observers.get(this.#server)?.onClose()
    if (callback !== undefined) process.nextTick(callback)
  }

  // The process lives on by the engine's sockets and the arbiter's channel, not by this.
  ref(): void {}

  unref(): void {}

  getsockname(out: { address?: string; family?: string; port?: number }): number {
    // Without a host node binds `::`, if the system has IPv6.
    const address = this.#requested.address ?? '::'
    out.address = address
    out.family = address.includes(':') ? 'IPv6' : 'IPv4'
    out.port = this.#shownPort === 0 ? (this.#requested.port ?? 0) : this.#shownPort
    return 0
  }
}
