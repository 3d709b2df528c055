/**
 * The request of fetch style: an instance of `Request` that becomes a native one only when somebody asks for what this
 * one does not answer itself.
 */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyUnusable } from '../node/errors.ts'
import { RequestBody } from './body.ts'

const NativeRequest = globalThis.Request

/** What has to be known of a request beside its exchange. */
export interface Incoming {
  readonly exchange: Exchange
  /** Made when first asked for, and aborted when the client goes. */
  signal(): AbortSignal
  /** The body, made when it is first looked at. */
  body: RequestBody | undefined
}

export class LazyRequest {
  readonly #incoming: Incoming
  readonly #url: string
  readonly #raw: string[]
  #headers: Headers | undefined
  #native: Request | undefined

  constructor(incoming: Incoming, url: string, raw: string[]) {
    this.#incoming = incoming
    this.#url = url
    this.#raw = raw
  }

  /** The native request of a lazy one; anything else as it is. */
  static unwrap(value: unknown): unknown {
    return typeof value === 'object' && value !== null && #incoming in value
      ? value.#become()
      : value
  }

  get method(): string {
    return this.#incoming.exchange.method
  }

  get url(): string {
    return this.#url
  }

  get headers(): Headers {
    if (this.#native !== undefined) return this.#native.headers
    this.#headers ??= headersOf(this.#raw)
    return this.#headers
  }

  get signal(): AbortSignal {
    return this.#native?.signal ?? this.#incoming.signal()
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#mayHaveBody() ? this.#become().body : null
  }

  get bodyUsed(): boolean {
    if (this.#native !== undefined) return this.#native.bodyUsed
    return this.#incoming.body?.used ?? false
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
    return this.#become().blob()
  }

  formData(): Promise<FormData> {
    return this.#become().formData()
  }

  clone(): Request {
    return this.#become().clone()
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
    if (incoming.body.used) return Promise.reject(bodyUnusable())
    return incoming.body.bytes()
  }

  /** From here on a native request answers everything. */
  #become(): Request {
    if (this.#native !== undefined) return this.#native
    const incoming = this.#incoming
    const init: RequestInit & { duplex?: 'half' } = {
      method: this.method,
      headers: this.headers,
      signal: incoming.signal(),
    }
    if (this.#mayHaveBody()) {
      incoming.body ??= new RequestBody(incoming.exchange)
      init.body = incoming.body.used ? usedStream() : incoming.body.stream()
      init.duplex = 'half'
    }
    this.#native = new NativeRequest(this.#url, init)
    return this.#native
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

/** Header values are bytes; the engine has refused what no field may contain. */
function headersOf(raw: string[]): Headers {
  const headers = new Headers()
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? '', raw[i + 1] ?? '')
  return headers
}

/** A body that has been read before the request became native: native refuses to read it again. */
function usedStream(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
}
