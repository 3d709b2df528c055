/**
 * A duplex stream that becomes one when somebody first asks for it: until then the object has none of a stream's state,
 * which is most of what a stream weighs, and answers what is asked of each request without it.
 */
import { Duplex } from 'node:stream'

/** Defines an accessor on a prototype. */
export type DefineAccessor<This> = (
  name: string,
  get: (this: This) => unknown,
  set?: (this: This, value: never) => void,
) => void

export function accessorDefiner<This>(prototype: object): DefineAccessor<This> {
  return (name, get, set) =>
    Object.defineProperty(prototype, name, { get, set, configurable: true } as PropertyDescriptor)
}

interface LazyStreamOptions<This> {
  /** What only the objects themselves have, not their prototype nor what is made of them. */
  readonly kInstance: symbol
  /** Where they say that they are streams, and that they have been destroyed before they were. */
  readonly kIsStream: symbol
  readonly kDestroyedEarly: symbol
  initStream(stream: This): void
}

type StreamFields = Record<string | symbol, unknown>

const destroyedAccessor = Object.getOwnPropertyDescriptor(Duplex.prototype, 'destroyed')

export function defineLazyStream<This extends object>(
  defineAccessor: DefineAccessor<This>,
  {
    kInstance: kOwn,
    kIsStream,
    kDestroyedEarly: kGone,
    initStream: becomeStream,
  }: LazyStreamOptions<This>,
): void {
  // Node's code and the packages round it reach a stream's state by these names.
  for (const name of ['_events', '_readableState', '_writableState'] as const) {
    defineAccessor(
      name,
      function state(this: This) {
        const stream = findInstance(this, kOwn)
        if (stream === undefined || stream[kIsStream]) return undefined
        becomeStream(stream as This)
        return stream[name]
      },
      function setState(this: This, value: never) {
        const own = { value, writable: true, enumerable: true, configurable: true }
        Object.defineProperty(this, name, own)
      },
    )
  }
  defineAccessor(
    'destroyed',
    function isDestroyed(this: This) {
      const fields = this as StreamFields
      return fields[kIsStream] ? destroyedAccessor?.get?.call(this) : fields[kGone]
    },
    function setDestroyed(this: This, value: never) {
      if (!(this as StreamFields)[kIsStream]) becomeStream(this)
      destroyedAccessor?.set?.call(this, value)
    },
  )
}

/** The object itself where it is seen through one that was made of it; nothing for the prototype. */
function findInstance(seen: object, kOwn: symbol): StreamFields | undefined {
  let found: object | null = seen
  while (found !== null && !Object.hasOwn(found, kOwn)) found = Object.getPrototypeOf(found)
  return (found as StreamFields | null) ?? undefined
}

/** Makes a stream one that has been destroyed and has said so. */
export function markDestroyed(stream: object): void {
  const { _readableState, _writableState } = stream as StreamFields
  const over = { destroyed: true, closed: true, closeEmitted: true }
  Object.assign(_readableState as object, over)
  Object.assign(_writableState as object, over)
}
