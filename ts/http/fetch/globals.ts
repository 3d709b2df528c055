/**
 * The globals of a worker that serves a fetch application. They are native's in all that a program can tell apart by
 * `instanceof`, by extending them or by what their methods do (`__test__/http/globals.spec.ts`); what they save is the
 * streams and headers that nobody looks at. Workers of other styles keep native's.
 */
import { markFetched } from './fetched.ts'
import { LazyRequest } from './request.ts'
import { installQuickResponse } from './response.ts'

const NativeRequest = globalThis.Request
const nativeFetch = globalThis.fetch

let installed = false

/** Puts our constructors in the place of native's; once. */
export function installFetchGlobals(): void {
  if (installed) return
  installed = true
  installQuickResponse()
  Object.defineProperty(GlobalRequest, 'name', { value: 'Request' })
  Object.setPrototypeOf(GlobalRequest, NativeRequest)
  GlobalRequest.prototype = NativeRequest.prototype
  defineProperty(NativeRequest.prototype, 'constructor', GlobalRequest)
  defineProperty(globalThis, 'Request', GlobalRequest)
  defineProperty(globalThis, 'fetch', fetch)
}

/** Native looks for its private fields, which a lazy request does not have: it gets the native one. */
function GlobalRequest(this: unknown, input: unknown, init?: RequestInit): Request {
  if (new.target === undefined) return Reflect.apply(NativeRequest, this, [input, init])
  return Reflect.construct(NativeRequest, [LazyRequest.unwrap(input), init], new.target)
}

function fetch(input: unknown, init?: RequestInit): Promise<Response> {
  return nativeFetch(LazyRequest.unwrap(input) as Request, init).then(markFetched)
}

function defineProperty(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
}
