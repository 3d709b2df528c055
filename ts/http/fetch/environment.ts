/** The second and third arguments of a fetch function, in the shapes that applications of other servers look for. */
import { holdUp } from '../../engine/background-work.ts'
import type { Connection, Exchange } from '../../engine/exchange.ts'

interface PeerAddress {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined
}

/** `env`: an object of the request's own, which an application may put its bindings on. */
export class FetchEnvironment {
  readonly #connection: Connection
  /** The path under which the application is mounted; `request.url` has it too. */
  readonly SCRIPT_NAME: string

  constructor({ connection, prefix }: Pick<Exchange, 'connection' | 'prefix'>) {
    this.#connection = connection
    this.SCRIPT_NAME = prefix
  }

  /** As Hono's adapter for node has it, whose `getConnInfo` reads the socket of it. */
  get incoming(): { socket: PeerAddress } {
    return { socket: this.#connection }
  }

  /** As Deno has it. */
  get remoteAddr(): { hostname: string; port: number; transport: 'tcp' } {
    const { remoteAddress, remotePort } = this.#connection
    return { hostname: remoteAddress ?? '', port: remotePort ?? 0, transport: 'tcp' }
  }

  /** As Bun's server has it; the request can only be the one in hand. */
  requestIP(): { address: string; port: number; family: string } | null {
    const { remoteAddress, remotePort, remoteFamily } = this.#connection
    if (remoteAddress === undefined) return null
    return { address: remoteAddress, port: remotePort ?? 0, family: remoteFamily ?? 'IPv4' }
  }
}

/** `context`: work that goes on after the answer, as Cloudflare has it. */
export class FetchContext {
  readonly #onRejected: (thrown: unknown) => void

  constructor(onRejected: (thrown: unknown) => void) {
    this.#onRejected = onRejected
  }

  waitUntil(work: unknown): void {
    holdUp(Promise.resolve(work).catch(this.#onRejected))
  }

  passThroughOnException(): void {}
}
