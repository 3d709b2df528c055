/**
 * Format of access log lines: text with Gunicorn's atoms, `%(h)s`, compiled once into a list of
 * functions. The rules equal those of the native engine: values that a client or an application
 * controls are escaped, so that none can end a line or look like a field. `"` and `\` get a
 * backslash, and any other character outside printable ASCII becomes `\u00NN`.
 */

import { isUtf8 } from 'node:buffer'

import { monocerosError } from '../errors.ts'
import { currentDate, processId } from '../process/system.ts'
import { formatAccessTime, formatLogTime } from './time.ts'

/** One finished exchange. Strings hold one byte per character (latin1), as in Node. */
export interface AccessEntry {
  readonly remoteAddress: string | undefined
  readonly method: string
  /** Request target as the client sent it, with the query. */
  readonly url: string
  /** Protocol version: `HTTP/1.1`. */
  readonly protocol: string
  readonly status: number
  readonly bodyBytes: number
  readonly durationUs: number
  /**
   * Returns a request field by its lower-case name; several lines are joined as one list (RFC 9110
   * section 5.3).
   */
  requestField(name: string): string | undefined
  /** Returns a response field by its lower-case name. */
  responseField(name: string): string | undefined
}

type AtomFormatter = (entry: AccessEntry) => string

const DASH: AtomFormatter = () => '-'

/** The atoms by name. `log/access/format.rs` has the same in the native engine. */
export const ATOMS: Readonly<Record<string, AtomFormatter>> = {
  h: (entry) => valueOrDash(entry.remoteAddress),
  l: DASH,
  u: (entry) => valueOrDash(userOfBasicAuth(entry.requestField('authorization'))),
  t: () => formatAccessTimeOfSecond(),
  r: (entry) => escapeValue(`${entry.method} ${entry.url} ${entry.protocol}`),
  m: (entry) => escapeValue(entry.method),
  U: (entry) => escapeValue(decodePercent(splitTarget(entry.url).path)),
  q: (entry) => escapeValue(splitTarget(entry.url).query),
  H: (entry) => escapeValue(entry.protocol),
  s: (entry) => String(entry.status),
  b: (entry) => String(entry.bodyBytes),
  B: (entry) => String(entry.bodyBytes),
  f: (entry) => valueOrDash(entry.requestField('referer')),
  a: (entry) => valueOrDash(entry.requestField('user-agent')),
  T: (entry) => String(Math.floor(entry.durationUs / 1_000_000)),
  M: (entry) => String(Math.floor(entry.durationUs / 1_000)),
  D: (entry) => String(Math.floor(entry.durationUs)),
  L: (entry) => (Math.floor(entry.durationUs) / 1_000_000).toFixed(6),
  p: () => `<${processId()}>`,
}

/** Variables of the WSGI environment that formats written for Gunicorn use, `%({NAME}e)s`. */
const WSGI_VARIABLES: Readonly<Record<string, AtomFormatter | undefined>> = {
  PATH_INFO: ATOMS.U,
  QUERY_STRING: ATOMS.q,
  RAW_URI: (entry) => escapeValue(entry.url),
  REMOTE_ADDR: ATOMS.h,
  REQUEST_METHOD: ATOMS.m,
  REQUEST_URI: (entry) => escapeValue(entry.url),
  SERVER_PROTOCOL: ATOMS.H,
}

/**
 * Compiles a format, or selects the built-in one of `json`. An unknown atom prints `-`. Text that
 * is not an atom after `%` throws ERR_ACCESS_FORMAT.
 */
export function compileAccessFormat(format: string): AtomFormatter {
  if (format === 'json') return formatJsonLine
  const parts: AtomFormatter[] = []
  /** Literal text before each atom. */
  const texts: string[] = []
  let rest = format
  for (let at = rest.indexOf('%'); at !== -1; at = rest.indexOf('%')) {
    const match = /^%(?:\(([^)]*)\)[sd]|%)/.exec(rest.slice(at))
    if (match === null) throw monocerosError('ERR_ACCESS_FORMAT', rest.slice(at, at + 16))
    texts.push(rest.slice(0, at))
    parts.push(match[1] === undefined ? () => '%' : compileAtom(match[1]))
    rest = rest.slice(at + match[0].length)
  }
  const end = rest
  return (entry) => {
    let line = ''
    for (let index = 0; index < parts.length; index++) {
      line += texts[index]
      line += parts[index]?.(entry)
    }
    return line + end
  }
}

let timeSecond = 0
let timeText = ''

/** Formats the current time, once a second. */
function formatAccessTimeOfSecond(): string {
  const now = currentDate()
  const second = Math.floor(now.getTime() / 1_000)
  if (second !== timeSecond) {
    timeSecond = second
    timeText = `[${formatAccessTime(now)}]`
  }
  return timeText
}

function compileAtom(name: string): AtomFormatter {
  const field = /^\{(.*)\}([^}]*)$/.exec(name)
  if (field === null) return Object.hasOwn(ATOMS, name) ? (ATOMS[name] ?? DASH) : DASH
  const [, key = '', kind] = field
  if (kind === 'i') return (entry) => valueOrDash(entry.requestField(key.toLowerCase()))
  if (kind === 'o') return (entry) => valueOrDash(entry.responseField(key.toLowerCase()))
  return kind === 'e' ? compileEnvironmentAtom(key) : DASH
}

/**
 * Compiles `%({NAME}e)s`: a WSGI variable of the request, else a variable of the process
 * environment, which is read once.
 */
function compileEnvironmentAtom(name: string): AtomFormatter {
  if (name.startsWith('HTTP_')) {
    const field = name.slice('HTTP_'.length).replaceAll('_', '-').toLowerCase()
    return (entry) => valueOrDash(entry.requestField(field))
  }
  const fact = Object.hasOwn(WSGI_VARIABLES, name) ? WSGI_VARIABLES[name] : undefined
  const value = valueOrDash(process.env[name])
  return fact ?? (() => value)
}

/**
 * Formats an entry as JSON, as the native engine does: a missing value is null, and characters
 * outside printable ASCII are escaped.
 */
function formatJsonLine(entry: AccessEntry): string {
  const { path, query } = splitTarget(entry.url)
  const field = (name: string) => decodeUtf8(entry.requestField(name))
  const object = {
    time: formatIsoTime(),
    pid: processId(),
    remote: decodeUtf8(entry.remoteAddress),
    user: decodeUtf8(userOfBasicAuth(entry.requestField('authorization'))),
    method: decodeUtf8(entry.method),
    target: decodeUtf8(entry.url),
    path: decodeUtf8(decodePercent(path)),
    query: decodeUtf8(query),
    protocol: decodeUtf8(entry.protocol),
    status: entry.status,
    bytes: entry.bodyBytes,
    duration_us: Math.floor(entry.durationUs),
    referer: field('referer'),
    user_agent: field('user-agent'),
    host: field('host'),
    forwarded_for: field('x-forwarded-for'),
    request_id: field('x-request-id'),
  }
  return JSON.stringify(object).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Decodes the bytes as UTF-8 if they are valid, else keeps one character per byte. */
function decodeUtf8(value: string | undefined): string | null {
  if (value === undefined) return null
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : value
}

/** Formats the current time: `2026-11-24T14:17:00+01:00`. */
function formatIsoTime(): string {
  return formatLogTime().replace(
    /^(\S+) (\S+) ([+-]\d\d)(\d\d)$/,
    (_, date, time, hours, minutes) => `${date}T${time}${hours}:${minutes}`,
  )
}

function valueOrDash(value: string | undefined): string {
  return value === undefined || value === '' ? '-' : escapeValue(value)
}

const UNSAFE = /["\\]|[^ -~]/

function escapeValue(value: string): string {
  // Most values need no escaping, and a test costs less than a replacement.
  if (!UNSAFE.test(value)) return value
  return value.replace(/["\\]|[^ -~]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/**
 * Splits a request target into path and query. The absolute form begins with a scheme and an
 * authority.
 */
function splitTarget(url: string): { path: string; query: string } {
  const absolute = url.startsWith('/') ? null : /^[^:/?]+:\/\/[^/?]*/.exec(url)
  const rest = absolute === null ? url : url.slice(absolute[0].length) || '/'
  const mark = rest.indexOf('?')
  if (mark === -1) return { path: rest, query: '' }
  return { path: rest.slice(0, mark), query: rest.slice(mark + 1) }
}

function decodePercent(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** Returns the user of Basic authentication (RFC 7617). */
function userOfBasicAuth(authorization: string | undefined): string | undefined {
  const token = /^basic +([a-z0-9+/=_-]+)\s*$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) return undefined
  const decoded = Buffer.from(token, 'base64').toString('latin1')
  const colon = decoded.indexOf(':')
  return colon === -1 ? undefined : decoded.slice(0, colon)
}
