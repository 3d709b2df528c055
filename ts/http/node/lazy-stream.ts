/**
 * A duplex stream that becomes one when somebody first asks for it: until then the object has none of a stream's state,
 * which is most of what a stream weighs, and answers what is asked of each request without it.
 */
import { Duplex } from 'node:stream'

/** Defines an accessor on a prototype. */
export type Define<This> = (
  name: string,
  get: (this: This) => unknown,
  set?: (this: This, value: never) => void,
) => void

export function definer<This>(prototype: object): Define<This> {
  return (name, get, set) =>
    Object.defineProperty(prototype, name, { get, set, configurable: true } as PropertyDescriptor)
}

interface Laziness<This> {
  /** What only the objects themselves have, not their prototype nor what is made of them. */
  readonly kOwn: symbol
  /** Where they say that they are streams, and that they have been destroyed before they were. */
  readonly kIsStream: symbol
  readonly kGone: symbol
  becomeStream(stream: This): void
}

type Fields = Record<string | symbol, unknown>

const destroyed = Object.getOwnPropertyDescriptor(Duplex.prototype, 'destroyed')

export function defineLazily<This extends object>(
  define: Define<This>,
  { kOwn, kIsStream, kGone, becomeStream }: Laziness<This>,
): void {
  // Node's code and the packages round it reach a stream's state by these names.
  for (const name of ['_events', '_readableState', '_writableState'] as const) {
    define(
      name,
      function state(this: This) {
        const stream = ownerOf(this, kOwn)
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
  define(
    'destroyed',
    function isDestroyed(this: This) {
      const fields = this as Fields
      return fields[kIsStream] ? destroyed?.get?.call(this) : fields[kGone]
    },
    function setDestroyed(this: This, value: never) {
      if (!(this as Fields)[kIsStream]) becomeStream(this)
      destroyed?.set?.call(this, value)
    },
  )
}

/** The object itself where it is seen through one that was made of it; nothing for the prototype. */
function ownerOf(seen: object, kOwn: symbol): Fields | undefined {
  let found: object | null = seen
  while (found !== null && !Object.hasOwn(found, kOwn)) found = Object.getPrototypeOf(found)
  return (found as Fields | null) ?? undefined
}

/** Makes a stream one that has been destroyed and has said so. */
export function endStream(stream: object): void {
  const { _readableState, _writableState } = stream as Fields
  const over = { destroyed: true, closed: true, closeEmitted: true }
  Object.assign(_readableState as object, over)
  Object.assign(_writableState as object, over)
}
