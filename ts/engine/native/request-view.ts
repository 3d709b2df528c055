/** The request of an exchange, read from its record when the application asks for it. */
import type { NativeConnection, PeerAddress } from './connection.ts'
import {
  clientOf,
  flagsOf,
  hostOf,
  isSecure,
  methodOf,
  rawHeadersOf,
  rootPathOf,
  urlOf,
} from './request-record.ts'
import { BODY_KIND_MASK, BODY_KIND_SHIFT, REQUEST_FLAG } from './wire.ts'

/** The request part of an exchange. */
export class RequestView {
  readonly connection: NativeConnection
  readonly id: number
  readonly httpVersionMinor: 0 | 1
  readonly keepAlive: boolean
  readonly bodyKind: 0 | 1 | 2
  readonly body: Buffer | undefined
  ahead: Buffer | undefined = undefined
  /** The text of the batch. */
  readonly #text: string
  /** Where the record begins in it. */
  readonly #at: number

  constructor(
    connection: NativeConnection,
    id: number,
    text: string,
    at: number,
    body: Buffer | undefined,
  ) {
    const flags = flagsOf(text, at)
    this.connection = connection
    this.id = id
    this.httpVersionMinor = (flags & REQUEST_FLAG.MINOR_VERSION) as 0 | 1
    this.keepAlive = (flags & REQUEST_FLAG.KEEP_ALIVE) !== 0
    this.bodyKind = ((flags >> BODY_KIND_SHIFT) & BODY_KIND_MASK) as 0 | 1 | 2
    this.body = body
    this.#text = text
    this.#at = at
  }

  get method(): string {
    return methodOf(this.#text, this.#at)
  }

  get url(): string {
    return urlOf(this.#text, this.#at)
  }

  get host(): string | undefined {
    return hostOf(this.#text, this.#at)
  }

  get upgrade(): boolean {
    return (flagsOf(this.#text, this.#at) & REQUEST_FLAG.UPGRADE) !== 0
  }

  get expects(): boolean {
    return (flagsOf(this.#text, this.#at) & REQUEST_FLAG.EXPECTS) !== 0
  }

  /** Whether a trusted proxy reports that the client uses https. */
  get isSecure(): boolean {
    return isSecure(this.#text, this.#at)
  }

  /** The client's address, if a trusted proxy sent it. */
  get client(): PeerAddress | undefined {
    return clientOf(this.#text, this.#at)
  }

  get rootPath(): string {
    return rootPathOf(this.#text, this.#at)
  }

  rawHeaders(): string[] {
    return rawHeadersOf(this.#text, this.#at)
  }
}
