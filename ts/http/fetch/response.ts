/**
 * Responses whose body is nothing, text or bytes, without native's objects: its `Response`, `Headers` and stream cost
 * more than everything else of an answer. A quick response has native's prototype, whose members are taught to look for
 * what a quick one has set aside and to make the native one of it when somebody asks for more: `instanceof` holds both
 * ways, classes may extend either, and methods taken from the prototype work on both.
 */
import { type FieldPair, toFieldPairs } from './response-fields.ts'

/** What a response sets aside: nothing, or text and bytes, which are most answers. */
export type QuickBody = string | Uint8Array | null

/** A response as native's members meet it: quick where it has a status of its own. */
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
/** The application's fields, as long as nobody has asked for `headers`. */
const kFields = Symbol('monoceros.fields')
/** The Content-Type, where the application has given no fields. */
const kContentType = Symbol('monoceros.type')
/** What `headers` has shown. */
const kHeaders = Symbol('monoceros.headers')
/** The native response of the body, once somebody has asked for that. */
const kNative = Symbol('monoceros.native')

const TEXT_TYPE = 'text/plain;charset=UTF-8'
const JSON_TYPE = 'application/json'

const NativeResponse = globalThis.Response
const NativeHeaders = globalThis.Headers

/** The statuses of which native refuses a body. */
const NULL_BODY_STATUSES = new Set([101, 204, 205, 304])
const PLAIN_REASON = /^[\x20-\x7e]*$/

/** The constructor that stands in for native's. */
export function QuickResponse(this: AnyResponse, body?: unknown, init?: ResponseInit): Response {
  // Without `new`, and for everything that is not simple, native says what to say.
  if (new.target === undefined) return Reflect.apply(NativeResponse, this, [body, init])
  if (typeof body === 'string') {
    if (initQuickResponse(this, body, init, TEXT_TYPE)) return this
  } else if (body === null || body === undefined) {
    if (initQuickResponse(this, null, init, undefined)) return this
  } else if (body instanceof Uint8Array) {
    // The program may change its bytes before they are sent.
    if (initQuickResponse(this, new Uint8Array(body), init, undefined)) return this
  }
  return Reflect.construct(NativeResponse, [body, init], new.target)
}

/** `Response.json` likewise. */
function json(data: unknown, init?: ResponseInit): Response {
  const text = JSON.stringify(data)
  if (text === undefined) return NativeResponse.json(data, init)
  const response: AnyResponse = Object.create(NativeResponse.prototype)
  return initQuickResponse(response, text, init, JSON_TYPE)
    ? response
    : NativeResponse.json(data, init)
}

/** Makes a response a quick one; false where only native knows what the arguments mean. */
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

function copyHeaders(
  given: NonNullable<ResponseInit['headers']>,
  type: string | undefined,
): Headers {
  const headers = new NativeHeaders(given)
  if (type !== undefined && !headers.has('content-type')) headers.append('content-type', type)
  return headers
}

/** A response that nobody has asked for more than it has itself: its body, and no more than that is to be looked at. */
export function isQuick(response: Response): boolean {
  return (
    (response as AnyResponse)[kStatus] !== undefined &&
    (response as AnyResponse)[kNative] === undefined
  )
}

/** The body of a quick response. */
export function quickBody(response: Response): QuickBody {
  return (response as AnyResponse)[kBody] ?? null
}

/** The Content-Type of a quick response that has no other field. */
export function soleContentType(response: Response): string | undefined {
  return (response as AnyResponse)[kContentType]
}

/** The fields of any response, names in lower case and in order. */
export function fieldPairsOf(response: Response): Iterable<FieldPair> {
  return (response as AnyResponse)[kFields] ?? response.headers
}

/** From here on the body is native's; undefined for a response that is native anyway. */
function toNative(response: AnyResponse): Response | undefined {
  if (response[kStatus] === undefined) return undefined
  if (response[kNative] !== undefined) return response[kNative]
  const init = { headers: response.headers }
  const native = new NativeResponse(response[kBody] ?? null, init)
  response[kBody] = null
  response[kNative] = native
  return native
}

/** What quick responses answer in place of native's getters. */
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

/** In place of native's methods; `clone` has to show what the quick one shows. */
const METHODS: Readonly<Record<string, (response: AnyResponse, native: Response) => unknown>> = {
  clone(response, native) {
    const { status, statusText, headers } = response
    return new NativeResponse(native.clone().body, { status, statusText, headers })
  },
}

/** Puts the constructor in native's place, and teaches native's members what a quick response is. */
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

function wrapMember(name: string, native: PropertyDescriptor): PropertyDescriptor {
  const { get, value } = native
  const quick = GETTERS[name]
  if (get !== undefined) {
    // An object literal gives the function its name.
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
