/** A server handle without a descriptor, for servers whose connections come from the engine. */

import type net from 'node:net'
import type { HandleAddress, ServerHandle } from './internals.ts'

/** The address that an application passes to `listen`, as node's private code passes it on. */
export type ListenArguments = Pick<HandleAddress, 'address' | 'port' | 'addressType'>

/** The address that a server is bound to for its clients. */
export interface PublicAddress {
  readonly host: string
  readonly port: number
}

/** Callbacks for what the application does with a server that has a `FakeHandle`. */
export interface ListenObserver {
  /** The application has closed the server. */
  onClose(): void
  /** The application has called `listen` on the server, again after a close. */
  onListen(): void
}

const observers = new WeakMap<net.Server, ListenObserver>()

/** Notifies `observer` of every later `listen` and `close` of the server. */
export function observeListening(server: net.Server, observer: ListenObserver): void {
  observers.set(server, observer)
}

/** Has what node calls on the handle of a listening server, and opens nothing. */
export class FakeHandle implements ServerHandle {
  readonly #server: net.Server
  readonly #requested: ListenArguments
  readonly #bound: PublicAddress | undefined

  /**
   * `server.address()` returns the address `bound`, which the operator has chosen, or the requested
   * one without it.
   */
  constructor(server: net.Server, requested: ListenArguments, bound?: PublicAddress) {
    this.#server = server
    this.#requested = requested
    this.#bound = bound
  }

  listen(): number {
    observers.get(this.#server)?.onListen()
    return 0
  }

  close(callback?: () => void): void {
    observers.get(this.#server)?.onClose()
    if (callback !== undefined) process.nextTick(callback)
  }

  // The engine's sockets and the channel to the arbiter keep the process alive, so a fake handle
  // need not.
  ref(): void {}

  unref(): void {}

  getsockname(out: { address?: string; family?: string; port?: number }): number {
    // Without a host node binds `::` if the system has IPv6.
    const address = this.#bound?.host ?? this.#requested.address ?? '::'
    out.address = address
    out.family = address.includes(':') ? 'IPv6' : 'IPv4'
    out.port = this.#bound?.port ?? this.#requested.port ?? 0
    return 0
  }
}
