/** A handle without a descriptor: what a captured server has, and all that node's server code asks of one. */

import type { Server } from 'node:http'
import type { ServerHandle } from './internals.ts'

/** What the application asked for; node passes a path as address with the type -1, and no host as null. */
export interface ListenCall {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
}

/** Who serves a captured server hears when its program closes it, and when it listens again. */
export interface ListenFollower {
  stopped(): void
  begun(): void
}

const followers = new WeakMap<Server, ListenFollower>()

/** From now on `follower` hears what the program does with its server. */
export function followListening(server: Server, follower: ListenFollower): void {
  followers.set(server, follower)
}

export class StandIn implements ServerHandle {
  readonly #server: Server
  readonly #call: ListenCall
  readonly #port: number

  /** `port` is the one that is shown; 0 leaves the one that was asked for. */
  constructor(server: Server, call: ListenCall, port: number) {
    this.#server = server
    this.#call = call
    this.#port = port
  }

  listen(): number {
    followers.get(this.#server)?.begun()
    return 0
  }

  close(callback?: () => void): void {
    followers.get(this.#server)?.stopped()
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
