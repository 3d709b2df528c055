/**
 * Responses whose body is empty, a string or bytes, without native objects: a native `Response`,
 * its `Headers` and its stream cost more than all the rest of a request.
 *
 * A quick response has the prototype of a native one. The members of that prototype are replaced:
 * they read what a quick response keeps, and create the native response when more is needed. So
 * `instanceof` is true both ways, classes may extend either, and methods taken from the prototype
 * work on both.
 */
import { type FieldPair, toFieldPairs } from './response-fields.ts'

/** The body of a quick response. */
export type QuickBody = string | Uint8Array | null

/** Any response. It is quick if it has `kStatus`. */
type AnyResponse = Response & {
  [kStatus]?: number
  [kStatusText]?: string
  [kBody]?: QuickBody
  [kFields]?: readonly FieldPair[] | undefined
  [kContentType]?: string | undefined
  [kHeaders]?: Headers | undefined
  [kNative]?: Response | undefined
}

const kStatus = Symbol('monoceros.status')
const kStatusText = Symbol('monoceros.statusText')
const kBody = Symbol('monoceros.body')
/** The fields that the application gave, until `headers` is first read. */
const kFields = Symbol('monoceros.fields')
/** The Content-Type for the body, if the application gave no fields. */
const kContentType = Symbol('monoceros.type')
/** The value of `headers`, once it has been read. */
const kHeaders = Symbol('monoceros.headers')
/** The native response with the body, once it is needed. */
const kNative = Symbol('monoceros.native')

const TEXT_TYPE = 'text/plain;charset=UTF-8'
const JSON_TYPE = 'application/json'

const NativeResponse = globalThis.Response
const NativeHeaders = globalThis.Headers

/** The statuses for which a native response refuses a body. */
const NULL_BODY_STATUSES = new Set([101, 204, 205, 304])
const PLAIN_REASON = /^[\x20-\x7e]*$/

/** The constructor that replaces the native one. */
export function QuickResponse(this: AnyResponse, body?: unknown, init?: ResponseInit): Response {
  // The native constructor handles, and refuses, calls without `new` and arguments that are not
  // simple.
  if (new.target === undefined) return Reflect.apply(NativeResponse, this, [body, init])
  if (typeof body === 'string') {
    if (initQuickResponse(this, body, init, TEXT_TYPE)) return this
  } else if (body === null || body === undefined) {
    if (initQuickResponse(this, null, init, undefined)) return this
  } else if (body instanceof Uint8Array) {
    // The application may change its bytes before they are sent.
    if (initQuickResponse(this, new Uint8Array(body), init, undefined)) return this
  }
  return Reflect.construct(NativeResponse, [body, init], new.target)
}

/** Replaces `Response.json`. */
function json(data: unknown, init?: ResponseInit): Response {
  const text = JSON.stringify(data)
  if (text === undefined) return NativeResponse.json(data, init)
  const response: AnyResponse = Object.create(NativeResponse.prototype)
  return initQuickResponse(response, text, init, JSON_TYPE)
    ? response
    : NativeResponse.json(data, init)
}

/**
 * Sets the fields of a quick response. Returns false, and sets nothing, for arguments that are not
 * simple.
 */
function initQuickResponse(
  response: AnyResponse,
  body: QuickBody,
  init: ResponseInit | undefined,
  type: string | undefined,
): boolean {
  let status = 200
  let statusText = ''
  let fields: readonly FieldPair[] | undefined
  let headers: Headers | undefined
  if (init !== undefined) {
    if (typeof init !== 'object' || init === null) return false
    const given = init.headers
    if (init.status !== undefined) ({ status } = init)
    if (init.statusText !== undefined) ({ statusText } = init)
    if (!Number.isInteger(status) || status < 200 || status > 599) return false
    if (body !== null && NULL_BODY_STATUSES.has(status)) return false
    if (typeof statusText !== 'string' || !PLAIN_REASON.test(statusText)) return false
    if (given !== undefined) {
      fields = toFieldPairs(given, type)
      if (fields === undefined) headers = copyHeaders(given, type)
    }
  }
  response[kStatus] = status
  response[kStatusText] = statusText
  response[kBody] = body
  response[kFields] = fields
  response[kContentType] = fields === undefined && headers === undefined ? type : undefined
  response[kHeaders] = headers
  response[kNative] = undefined
  return true
}

/** Creates native headers from the fields that the application gave. */
function copyHeaders(
  given: NonNullable<ResponseInit['headers']>,
  type: string | undefined,
): Headers {
  const headers = new NativeHeaders(given)
  if (type !== undefined && !headers.has('content-type')) headers.append('content-type', type)
  return headers
}

/** Whether a response is quick and has no native one, so that `quickBody` is its body. */
export function isQuick(response: AnyResponse): boolean {
  return response[kStatus] !== undefined && response[kNative] === undefined
}

/** The body of a quick response. */
export function quickBody(response: AnyResponse): QuickBody {
  return response[kBody] ?? null
}

/** The Content-Type of a quick response without other fields; undefined for any other response. */
export function soleContentType(response: AnyResponse): string | undefined {
  return response[kContentType]
}

/** The fields of any response, sorted, with names in lower case. */
export function fieldPairsOf(response: AnyResponse): Iterable<FieldPair> {
  return response[kFields] ?? response.headers
}

/**
 * Moves the body of a quick response to a native one, and returns that. Undefined for a response
 * that is native.
 */
function toNative(response: AnyResponse): Response | undefined {
  if (response[kStatus] === undefined) return undefined
  if (response[kNative] !== undefined) return response[kNative]
  const init = { headers: response.headers }
  const native = new NativeResponse(response[kBody] ?? null, init)
  response[kBody] = null
  response[kNative] = native
  return native
}

/** The getters of a quick response that need no native one. */
const GETTERS: Readonly<Record<string, (response: AnyResponse) => unknown>> = {
  status: (response) => response[kStatus],
  statusText: (response) => response[kStatusText],
  ok: (response) => (response[kStatus] ?? 0) < 300,
  headers: headersOf,
  type: () => 'default',
  url: () => '',
  redirected: () => false,
}

function headersOf(response: AnyResponse): Headers {
  if (response[kHeaders] !== undefined) return response[kHeaders]
  const headers = new NativeHeaders()
  for (const [name, value] of response[kFields] ?? []) headers.append(name, value)
  const type = response[kContentType]
  if (type !== undefined) headers.append('content-type', type)
  response[kFields] = undefined
  response[kContentType] = undefined
  response[kHeaders] = headers
  return headers
}

/**
 * The methods of a quick response that differ from the native ones: `clone` must copy the status
 * and the fields.
 */
const METHODS: Readonly<Record<string, (response: AnyResponse, native: Response) => unknown>> = {
  clone(response, native) {
    const { status, statusText, headers } = response
    return new NativeResponse(native.clone().body, { status, statusText, headers })
  },
}

/** Replaces the global `Response`, and the members of its prototype. */
export function installQuickResponse(): void {
  if (globalThis.Response !== NativeResponse) return
  const { prototype } = NativeResponse
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const native = Object.getOwnPropertyDescriptor(prototype, name)
    if (name === 'constructor' || native === undefined) continue
    Object.defineProperty(prototype, name, wrapMember(name, native))
  }
  Object.defineProperty(QuickResponse, 'name', { value: 'Response' })
  defineProperty(QuickResponse, 'json', json)
  Object.setPrototypeOf(QuickResponse, NativeResponse)
  QuickResponse.prototype = prototype
  defineProperty(prototype, 'constructor', QuickResponse)
  defineProperty(globalThis, 'Response', QuickResponse)
}

/** Wraps a member of the native prototype so that it works on quick responses, too. */
function wrapMember(name: string, native: PropertyDescriptor): PropertyDescriptor {
  const { get, value } = native
  const quick = GETTERS[name]
  if (get !== undefined) {
    // A function in an object literal gets its name, which must be that of the native getter.
    const read = {
      [name](this: AnyResponse): unknown {
        if (quick !== undefined && this[kStatus] !== undefined) return quick(this)
        return get.call(toNative(this) ?? this)
      },
    }[name]
    return { ...native, get: read }
  }
  if (typeof value !== 'function') return native
  const own = METHODS[name]
  const call = {
    [name](this: AnyResponse, ...args: unknown[]): unknown {
      const inner = toNative(this)
      if (inner === undefined) return value.apply(this, args)
      return own === undefined ? value.apply(inner, args) : own(this, inner)
    },
  }[name]
  return { ...native, value: call }
}

function defineProperty(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
}
