/**
 * The request that a fetch function gets: an instance of `Request` that creates a native one only
 * when it is needed.
 */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyUnusable } from '../node/errors.ts'
import { RequestBody } from './body.ts'
import { LazyHeaders, type RequestHeaders } from './request-headers.ts'

const NativeRequest = globalThis.Request

/**
 * The state of a lazy request, in one object, since the request itself should have only one field.
 */
export interface IncomingRequest {
  readonly exchange: Exchange
  readonly url: string
  /** The signal, created by the first call. It is aborted when the client closes the connection. */
  signal(): AbortSignal
  /** The body, created when it is first used. */
  body: RequestBody | undefined
  headers: RequestHeaders | undefined
  /**
   * The native request, created when the application uses a member that the lazy one does not have.
   */
  native: Request | undefined
}

/** An instance of `Request` by its prototype, which is set below. */
export class LazyRequest {
  readonly #incoming: IncomingRequest

  constructor(incoming: IncomingRequest) {
    this.#incoming = incoming
  }

  /** Returns the native request of a lazy one, and any other value unchanged. */
  static unwrap<T>(value: T): T | Request {
    return typeof value === 'object' && value !== null && #incoming in value
      ? value.#toNative()
      : value
  }

  get method(): string {
    return this.#incoming.exchange.method
  }

  get url(): string {
    return this.#incoming.url
  }

  get headers(): Headers {
    return this.#headers
  }

  get #headers(): RequestHeaders {
    const incoming = this.#incoming
    incoming.headers ??= LazyHeaders.from(incoming.exchange.rawHeaders())
    return incoming.headers
  }

  get signal(): AbortSignal {
    return this.#native?.signal ?? this.#incoming.signal()
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#mayHaveBody() ? this.#toNative().body : null
  }

  get bodyUsed(): boolean {
    if (this.#native !== undefined) return this.#native.bodyUsed
    return this.#incoming.body?.isUsed ?? false
  }

  async text(): Promise<string> {
    if (this.#native !== undefined) return this.#native.text()
    // As in a native request: UTF-8 without a byte order mark, invalid bytes replaced.
    return new TextDecoder().decode(await this.#bytes())
  }

  async json(): Promise<unknown> {
    if (this.#native !== undefined) return this.#native.json()
    return JSON.parse(await this.text())
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    if (this.#native !== undefined) return this.#native.arrayBuffer()
    return new Uint8Array(await this.#bytes()).buffer
  }

  async bytes(): Promise<Uint8Array> {
    if (this.#native !== undefined) return new Uint8Array(await this.#native.arrayBuffer())
    return new Uint8Array(await this.#bytes())
  }

  blob(): Promise<Blob> {
    return this.#toNative().blob()
  }

  formData(): Promise<FormData> {
    return this.#toNative().formData()
  }

  clone(): Request {
    return this.#toNative().clone()
  }

  get #native(): Request | undefined {
    return this.#incoming.native
  }

  #mayHaveBody(): boolean {
    if (this.#native !== undefined) return this.#native.body !== null
    const { method, bodyKind } = this.#incoming.exchange
    return bodyKind !== 0 && method !== 'GET' && method !== 'HEAD'
  }

  #bytes(): Promise<Uint8Array> {
    const incoming = this.#incoming
    if (!this.#mayHaveBody()) return Promise.resolve(new Uint8Array())
    incoming.body ??= new RequestBody(incoming.exchange)
    if (incoming.body.isUsed) return Promise.reject(bodyUnusable())
    return incoming.body.bytes()
  }

  /** Creates the native request, which from now on has the state of this one. */
  #toNative(): Request {
    const incoming = this.#incoming
    if (incoming.native !== undefined) return incoming.native
    const init: RequestInit & { duplex?: 'half' } = {
      method: this.method,
      headers: LazyHeaders.nativeOf(this.#headers),
      signal: incoming.signal(),
    }
    const isUsed = incoming.body?.isUsed === true
    if (this.#mayHaveBody()) {
      incoming.body ??= new RequestBody(incoming.exchange)
      init.body = isUsed ? createUsedStream() : incoming.body.stream()
      init.duplex = 'half'
    }
    incoming.native = new NativeRequest(incoming.url, init)
    // A native request takes no stream that has been read. A cancelled one refuses a second read
    // just as well.
    if (isUsed) incoming.native.body?.cancel().catch(ignoreCancelError)
    LazyHeaders.adoptNative(this.#headers, incoming.native.headers)
    return incoming.native
  }
}

// All other properties of `Request` are those of the native request.
for (const name of Object.getOwnPropertyNames(NativeRequest.prototype)) {
  if (name === 'constructor' || Object.hasOwn(LazyRequest.prototype, name)) continue
  Object.defineProperty(LazyRequest.prototype, name, {
    get(this: LazyRequest): unknown {
      return Reflect.get(LazyRequest.unwrap(this), name)
    },
    configurable: true,
    enumerable: true,
  })
}
Reflect.deleteProperty(LazyRequest.prototype, 'constructor')
Object.setPrototypeOf(LazyRequest.prototype, NativeRequest.prototype)

/** The body of a native request whose lazy one has been read before. */
function createUsedStream(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
}

/** Does nothing: the stream is empty, and is cancelled only to count as used. */
function ignoreCancelError(): void {}
