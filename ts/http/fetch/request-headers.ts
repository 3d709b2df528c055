/**
 * The headers of a lazy request. They look up a name among the raw fields, and become native
 * `Headers` when another method is used.
 */

const NativeHeaders = globalThis.Headers
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\w]+$/

/** The `headers` of a lazy request: what they do not do themselves, `Headers` does. */
export type RequestHeaders = LazyHeaders & Headers

export class LazyHeaders {
  readonly #raw: readonly string[]
  #native: Headers | undefined

  /** Creates the headers from names and values in turn, which the engine has checked. */
  static from(raw: readonly string[]): RequestHeaders {
    // The prototype is completed below with all other members of `Headers`, which TypeScript does
    // not see.
    return new LazyHeaders(raw) as RequestHeaders
  }

  private constructor(raw: readonly string[]) {
    this.#raw = raw
  }

  get(name: string): string | null {
    if (this.#native !== undefined || typeof name !== 'string' || !FIELD_NAME.test(name)) {
      return this.#toNative().get(name)
    }
    const raw = this.#raw
    const wanted = name.toLowerCase()
    let found: string | null = null
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const field = raw[i] ?? ''
      if (field.length !== wanted.length || field.toLowerCase() !== wanted) continue
      const value = raw[i + 1] ?? ''
      // Native headers trim the white space around a value; the engine has done that.
      found = found === null ? value : `${found}${wanted === 'cookie' ? '; ' : ', '}${value}`
    }
    return found
  }

  has(name: string): boolean {
    if (this.#native !== undefined || typeof name !== 'string' || !FIELD_NAME.test(name)) {
      return this.#toNative().has(name)
    }
    return this.get(name) !== null
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#toNative().entries()
  }

  #toNative(): Headers {
    if (this.#native !== undefined) return this.#native
    const headers = new NativeHeaders()
    const raw = this.#raw
    for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? '', raw[i + 1] ?? '')
    this.#native = headers
    return headers
  }

  /**
   * Makes the headers share the state of `native`, so that a change of one is a change of the
   * other.
   */
  static adoptNative(lazy: LazyHeaders, native: Headers): void {
    lazy.#native = native
  }

  /** Returns the native headers of lazy ones. */
  static nativeOf(lazy: LazyHeaders): Headers {
    return lazy.#toNative()
  }

  /** Returns the native headers of lazy ones, and any other value unchanged. */
  static unwrap(value: unknown): unknown {
    return typeof value === 'object' && value !== null && #raw in value ? value.#toNative() : value
  }
}

// All other methods of `Headers` are those of the native headers.
for (const name of Reflect.ownKeys(NativeHeaders.prototype)) {
  if (name === 'constructor' || Object.hasOwn(LazyHeaders.prototype, name)) continue
  const { value: native } = Object.getOwnPropertyDescriptor(NativeHeaders.prototype, name) ?? {}
  if (typeof native !== 'function') continue
  Object.defineProperty(LazyHeaders.prototype, name, {
    value(this: unknown, ...args: unknown[]): unknown {
      return native.apply(LazyHeaders.unwrap(this), args)
    },
    writable: true,
    configurable: true,
    enumerable: true,
  })
}
Reflect.deleteProperty(LazyHeaders.prototype, 'constructor')
Object.setPrototypeOf(LazyHeaders.prototype, NativeHeaders.prototype)
