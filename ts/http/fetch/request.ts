/**
 * The request of fetch style: an instance of `Request` that becomes a native one only when somebody asks for what this
 * one does not answer itself.
 */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyUnusable } from '../node/errors.ts'
import { RequestBody } from './body.ts'
import { LazyHeaders } from './request-headers.ts'

const NativeRequest = globalThis.Request

/** What has to be known of a request, and what becomes of it: in one object, of which the request has the only field. */
export interface IncomingRequest {
  readonly exchange: Exchange
  readonly url: string
  /** Made when first asked for, and aborted when the client goes. */
  signal(): AbortSignal
  /** The body, made when it is first looked at. */
  body: RequestBody | undefined
  headers: LazyHeaders | undefined
  /** The request that answers everything, once somebody has asked for more than the lazy one knows. */
  native: Request | undefined
}

export class LazyRequest {
  readonly #incoming: IncomingRequest

  constructor(incoming: IncomingRequest) {
    this.#incoming = incoming
  }

  /** The native request of a lazy one; anything else as it is. */
  static unwrap(value: unknown): unknown {
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
    return this.#headers as unknown as Headers
  }

  get #headers(): LazyHeaders {
    const incoming = this.#incoming
    incoming.headers ??= new LazyHeaders(incoming.exchange.rawHeaders())
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
    // Like native: UTF-8, a byte order mark left out, bad bytes replaced.
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

  /** From here on a native request answers everything. */
  #toNative(): Request {
    const incoming = this.#incoming
    if (incoming.native !== undefined) return incoming.native
    const init: RequestInit & { duplex?: 'half' } = {
      method: this.method,
      headers: LazyHeaders.unwrap(this.#headers) as Headers,
      signal: incoming.signal(),
    }
    const isUsed = incoming.body?.isUsed === true
    if (this.#mayHaveBody()) {
      incoming.body ??= new RequestBody(incoming.exchange)
      init.body = isUsed ? createUsedStream() : incoming.body.stream()
      init.duplex = 'half'
    }
    incoming.native = new NativeRequest(incoming.url, init)
    // Native refuses to read it again, and takes no stream that has been read.
    if (isUsed) incoming.native.body?.cancel().catch(ignoreCancelError)
    LazyHeaders.adoptNative(this.#headers, incoming.native.headers)
    return incoming.native
  }
}

/** Everything else that `Request` has is answered by the native one. */
for (const name of Object.getOwnPropertyNames(NativeRequest.prototype)) {
  if (name === 'constructor' || Object.hasOwn(LazyRequest.prototype, name)) continue
  Object.defineProperty(LazyRequest.prototype, name, {
    get(this: LazyRequest): unknown {
      return Reflect.get(LazyRequest.unwrap(this) as Request, name)
    },
    configurable: true,
    enumerable: true,
  })
}
Reflect.deleteProperty(LazyRequest.prototype, 'constructor')
Object.setPrototypeOf(LazyRequest.prototype, NativeRequest.prototype)

/** In place of a body that has been read before the request became native. */
function createUsedStream(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
}

function ignoreCancelError(): void {}
