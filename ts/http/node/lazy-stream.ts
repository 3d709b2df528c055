/**
 * Makes an object a duplex stream only when it is first used as one. Until then the object has none
 * of a stream's state, which is most of a stream's memory, and still answers what is read of it for
 * each request.
 */
import { Duplex } from 'node:stream'

/** The object has the state of a stream and of an emitter. */
export const kIsStream: unique symbol = Symbol('monoceros.isStream')
/** The object was destroyed before it became a stream. */
export const kDestroyedEarly: unique symbol = Symbol('monoceros.destroyedEarly')

/** The fields of an object that can become a stream. The last three exist once it has. */
export interface LazyStream {
  [kIsStream]: boolean
  [kDestroyedEarly]: boolean
  readonly _events?: object
  readonly _readableState?: object
  readonly _writableState?: object
}

/** Defines an accessor on a prototype. */
export type DefineAccessor<This> = (
  name: string,
  get: (this: This) => unknown,
  set?: (this: This, value: unknown) => void,
) => void

/** Returns a function that defines accessors on `prototype`. */
export function accessorDefiner<This>(prototype: object): DefineAccessor<This> {
  return (name, get, set) =>
    Object.defineProperty(prototype, name, { get, set, configurable: true })
}

interface LazyStreamOptions<This> {
  /**
   * A property that only the objects themselves have: neither their prototype nor objects that
   * inherit from them.
   */
  readonly kInstance: symbol
  /** Sets the state of a stream and `kIsStream`. */
  initStream(stream: This): void
}

const destroyedAccessor = Object.getOwnPropertyDescriptor(Duplex.prototype, 'destroyed')

/** Defines the accessors that make an object a stream when its state is first read. */
export function defineLazyStream<This extends LazyStream>(
  defineAccessor: DefineAccessor<This>,
  { kInstance, initStream }: LazyStreamOptions<This>,
): void {
  // Node's code and packages for it read a stream's state by these names.
  for (const name of ['_events', '_readableState', '_writableState'] as const) {
    defineAccessor(
      name,
      function state(this: This) {
        const stream = findInstance(this, kInstance)
        if (stream === undefined || stream[kIsStream]) return undefined
        initStream(stream)
        return stream[name]
      },
      function setState(this: This, value: unknown) {
        const own = { value, writable: true, enumerable: true, configurable: true }
        Object.defineProperty(this, name, own)
      },
    )
  }
  defineAccessor(
    'destroyed',
    function isDestroyed(this: This) {
      return this[kIsStream] ? destroyedAccessor?.get?.call(this) : this[kDestroyedEarly]
    },
    function setDestroyed(this: This, value: unknown) {
      if (!this[kIsStream]) initStream(this)
      destroyedAccessor?.set?.call(this, value)
    },
  )
}

/** Returns the instance that `object` is or inherits from; undefined for the prototype. */
function findInstance<This extends object>(object: This, kInstance: symbol): This | undefined {
  let found: This | null = object
  while (found !== null && !Object.hasOwn(found, kInstance)) found = Object.getPrototypeOf(found)
  return found ?? undefined
}

/** Marks a new stream as destroyed, with 'close' already emitted. */
export function markDestroyed({ _readableState, _writableState }: LazyStream): void {
  const state = { destroyed: true, closed: true, closeEmitted: true }
  if (_readableState !== undefined) Object.assign(_readableState, state)
  if (_writableState !== undefined) Object.assign(_writableState, state)
}
