/**
 * The headers of a request in fetch style: a `Headers` that looks a name up among the fields as they came, and becomes
 * native's when somebody asks for more.
 */

const NativeHeaders = globalThis.Headers
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\w]+$/

export class LazyHeaders {
  readonly #raw: readonly string[]
  #native: Headers | undefined

  /** Names and values in turn; the engine has refused what no field may contain. */
  constructor(raw: readonly string[]) {
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
      // Native takes away the white space that lines may have round a value, which the engine has done.
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

  /** From here on they are those of the native request, so that what changes in one changes in the other. */
  static adoptNative(lazy: LazyHeaders, native: Headers): void {
    lazy.#native = native
  }

  /** The native headers of lazy ones; anything else as it is. */
  static unwrap(value: unknown): unknown {
    return typeof value === 'object' && value !== null && #raw in value ? value.#toNative() : value
  }
}

/** Everything else that `Headers` has is native's to do. */
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
