/**
 * The second and third argument of a fetch function, with the properties that applications for
 * other servers use.
 */
import { holdUp } from '../../engine/background-work.ts'
import type { Connection, Exchange } from '../../engine/exchange.ts'

/** The client's address, with the property names of a socket. */
interface PeerAddress {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined
}

/** The argument `env`, a new object for each request. An application may add its bindings to it. */
export class FetchEnvironment {
  readonly #connection: Connection
  /** The root path, as in CGI. `request.url` includes it. */
  readonly SCRIPT_NAME: string

  constructor({ connection, rootPath }: Pick<Exchange, 'connection' | 'rootPath'>) {
    this.#connection = connection
    this.SCRIPT_NAME = rootPath
  }

  /** As in Hono's adapter for node, whose `getConnInfo` reads `incoming.socket`. */
  get incoming(): { socket: PeerAddress } {
    return { socket: this.#connection }
  }

  /** The client's address as Deno shows it. */
  get remoteAddr(): { hostname: string; port: number; transport: 'tcp' } {
    const { remoteAddress, remotePort } = this.#connection
    return { hostname: remoteAddress ?? '', port: remotePort ?? 0, transport: 'tcp' }
  }

  /**
   * The client's address as Bun's server returns it. Bun's argument, the request, is not needed.
   */
  requestIP(): { address: string; port: number; family: string } | null {
    const { remoteAddress, remotePort, remoteFamily } = this.#connection
    if (remoteAddress === undefined) return null
    return { address: remoteAddress, port: remotePort ?? 0, family: remoteFamily ?? 'IPv4' }
  }
}

/** The argument `context`, as Cloudflare passes it. */
export class FetchContext {
  readonly #onRejected: (thrown: unknown) => void

  constructor(onRejected: (thrown: unknown) => void) {
    this.#onRejected = onRejected
  }

  /** Keeps the worker alive until `work` has settled, also after the response. */
  waitUntil(work: unknown): void {
    holdUp(Promise.resolve(work).catch(this.#onRejected))
  }

  /** Does nothing. On Cloudflare it passes a failed request on to the origin server. */
  passThroughOnException(): void {}
}
