/**
 * Replaces the globals `Request`, `Response` and `fetch` in a worker that serves a fetch
 * application. Ours and node's cannot be distinguished by `instanceof`, by extending them, or
 * by what their methods do (`__test__/http/globals.spec.ts`). Ours create streams and headers only
 * when they are used. Workers of other styles keep node's.
 */
import { markFetched } from './fetched.ts'
import { LazyRequest } from './request.ts'
import { installQuickResponse } from './response.ts'

const NativeRequest = globalThis.Request
const nativeFetch = globalThis.fetch

let isInstalled = false

/** Replaces the globals, once. */
export function installFetchGlobals(): void {
  if (isInstalled) return
  isInstalled = true
  installQuickResponse()
  Object.defineProperty(GlobalRequest, 'name', { value: 'Request' })
  Object.setPrototypeOf(GlobalRequest, NativeRequest)
  GlobalRequest.prototype = NativeRequest.prototype
  defineProperty(NativeRequest.prototype, 'constructor', GlobalRequest)
  defineProperty(globalThis, 'Request', GlobalRequest)
  defineProperty(globalThis, 'fetch', fetch)
}

/**
 * The global `Request`. Node's constructor reads private fields of its argument, so a lazy request
 * is passed to it as a native one.
 */
function GlobalRequest(this: unknown, input: unknown, init?: RequestInit): Request {
  if (new.target === undefined) return Reflect.apply(NativeRequest, this, [input, init])
  return Reflect.construct(NativeRequest, [LazyRequest.unwrap(input), init], new.target)
}

/** The global `fetch`, which remembers decoded bodies. */
function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  return nativeFetch(LazyRequest.unwrap(input), init).then(markFetched)
}

function defineProperty(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
}
