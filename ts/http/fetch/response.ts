/**
 * Responses whose body is text or bytes, without the stream that native ones make of it (seventeen microseconds of
 * Node 20, ten of Node 24). They are native responses all the same, whose body is set aside until somebody asks for it:
 * `instanceof` holds both ways, and classes may extend either.
 */

/** What a response sets aside: only text and bytes, which are most answers. */
export type AsideBody = string | Uint8Array

type OurResponse = Response & {
  [kBody]?: AsideBody | undefined
  [kTextType]?: boolean
  [kInner]?: Response
}

/** The body set aside. */
const kBody = Symbol('monoceros.body')
/** The Content-Type that native gives text is not yet among the headers. */
const kTextType = Symbol('monoceros.textType')
/** The native response of the body, once somebody has asked for that. */
const kInner = Symbol('monoceros.inner')

const TEXT_TYPE = 'text/plain;charset=UTF-8'

/** The field that text has when the application gives no headers. */
export const TEXT_TYPE_FIELD = `content-type: ${TEXT_TYPE}\r\n`

const Native = globalThis.Response
const headersOf = Object.getOwnPropertyDescriptor(Native.prototype, 'headers')?.get as (
  this: Response,
) => Headers

/** The statuses of which native refuses a body. */
const NULL_BODY = new Set([101, 204, 205, 304])

/** The constructor that stands in for native's. */
export function QuickResponse(this: unknown, body?: unknown, init?: ResponseInit): Response {
  // Without `new`, and for everything that is not simple, native says what to say.
  if (new.target === undefined) return Reflect.apply(Native, this, [body, init])
  const aside = asideOf(body, init)
  if (aside === undefined) return Reflect.construct(Native, [body, init], new.target)
  const response: OurResponse =
    new.target === QuickResponse
      ? new Native(null, init)
      : Reflect.construct(Native, [null, init], new.target)
  response[kBody] = aside
  if (typeof body === 'string') giveTextType(response, init)
  return response
}

/** `Response.json`, with its text set aside likewise. */
function json(data: unknown, init?: ResponseInit): Response {
  const text = JSON.stringify(data)
  if (text === undefined || asideOf(text, init) === undefined) return Native.json(data, init)
  const response: OurResponse = new Native(null, init)
  response[kBody] = text
  const headers = headersOf.call(response)
  if (!headers.has('content-type')) headers.append('content-type', 'application/json')
  return response
}

function asideOf(body: unknown, init: ResponseInit | undefined): AsideBody | undefined {
  const simple = typeof body === 'string' || body instanceof Uint8Array
  if (!simple || (init?.status !== undefined && NULL_BODY.has(Number(init.status))))
    return undefined
  // The program may change its bytes before they are sent.
  return typeof body === 'string' ? body : new Uint8Array(body)
}

function giveTextType(response: OurResponse, init: ResponseInit | undefined): void {
  if (init?.headers === undefined) {
    response[kTextType] = true
    return
  }
  const headers = headersOf.call(response)
  if (!headers.has('content-type')) headers.append('content-type', TEXT_TYPE)
}

/** The body of a response that nobody has looked at. */
export function asideBody(response: Response): AsideBody | undefined {
  return (response as OurResponse)[kBody]
}

/** Whether the only header is the Content-Type of text. */
export function hasOnlyTextType(response: Response): boolean {
  return (response as OurResponse)[kTextType] === true
}

/** From here on the body is native's. */
function innerOf(response: OurResponse): Response | undefined {
  const body = response[kBody]
  if (body === undefined) return response[kInner]
  response[kBody] = undefined
  const init = { headers: response.headers }
  const inner = new Native(typeof body === 'string' ? body : new Uint8Array(body), init)
  response[kInner] = inner
  return inner
}

const BODY_GETTERS = ['body', 'bodyUsed'] as const
const BODY_METHODS = ['text', 'json', 'arrayBuffer', 'blob', 'formData', 'bytes'] as const

/** Puts the constructor in native's place, and teaches native's methods to find a body set aside. */
export function installQuickResponse(): void {
  if (globalThis.Response !== Native) return
  const { prototype } = Native
  for (const name of BODY_GETTERS) {
    const native = Object.getOwnPropertyDescriptor(prototype, name)
    if (native?.get === undefined) continue
    const { get } = native
    const read = {
      [name](this: OurResponse): unknown {
        return get.call(innerOf(this) ?? this)
      },
    }[name]
    Object.defineProperty(prototype, name, { ...native, get: read })
  }
  for (const name of BODY_METHODS) {
    const native = Object.getOwnPropertyDescriptor(prototype, name)
    if (native === undefined) continue
    const value = {
      [name](this: OurResponse): unknown {
        return native.value.call(innerOf(this) ?? this)
      },
    }[name]
    Object.defineProperty(prototype, name, { ...native, value })
  }
  installHeadersAndClone()
  Object.defineProperty(QuickResponse, 'name', { value: 'Response' })
  Object.defineProperty(QuickResponse, 'json', { value: json, writable: true, configurable: true })
  Object.setPrototypeOf(QuickResponse, Native)
  QuickResponse.prototype = prototype
  Object.defineProperty(prototype, 'constructor', {
    value: QuickResponse,
    writable: true,
    configurable: true,
  })
  Object.defineProperty(globalThis, 'Response', {
    value: QuickResponse,
    writable: true,
    configurable: true,
  })
}

function installHeadersAndClone(): void {
  const { prototype } = Native
  const headers = Object.getOwnPropertyDescriptor(prototype, 'headers')
  Object.defineProperty(prototype, 'headers', {
    ...headers,
    get(this: OurResponse): Headers {
      const own = headersOf.call(this)
      if (this[kTextType] === true) {
        this[kTextType] = false
        own.append('content-type', TEXT_TYPE)
      }
      return own
    },
  })
  const native = Object.getOwnPropertyDescriptor(prototype, 'clone')
  Object.defineProperty(prototype, 'clone', {
    ...native,
    value: function clone(this: OurResponse): Response {
      const inner = innerOf(this)
      if (inner === undefined) return native?.value.call(this)
      const { status, statusText } = this
      return new Native(inner.clone().body, { status, statusText, headers: this.headers })
    },
  })
}
