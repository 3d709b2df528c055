/**
 * Renders the header fields of simple responses without node's methods. A field is not simple if it
 * frames the body or governs the connection, or if node may refuse its value. Node's own methods
 * handle those.
 */
import http from 'node:http'
import { toConstructor } from './constructors.ts'
import type { StoredFields } from './internals.ts'

/** The rendered fields include Date. A flag of the results below, as is the next one. */
export const HAS_DATE = 1
/** The rendered fields include Content-Length. */
export const HAS_LENGTH = 2

/** The result for fields that are not simple. */
export const NOT_SIMPLE = -1

const INVALID_NAME = -2

/**
 * The names and values, in turn, of the last rendering. It is a second result, which needs no
 * object for each request.
 */
export let lastRenderedFields: string[] = []

/**
 * Renders the fields of a response, whose names and values `setHeader` has checked. Returns flags
 * or NOT_SIMPLE.
 */
export function renderStoredFields(map: StoredFields): number {
  const list: string[] = []
  let has = 0
  for (const key in map) {
    const entry = map[key]
    if (entry === undefined) continue
    const kind = fieldKind(key)
    if (kind === NOT_SIMPLE) return NOT_SIMPLE
    has |= kind
    const value = entry[1]
    if (typeof value === 'string') list.push(entry[0], value)
    else if (Array.isArray(value)) for (const one of value) list.push(entry[0], `${one}`)
    else list.push(entry[0], `${value}`)
  }
  lastRenderedFields = list
  return has
}

/**
 * Renders the object given to `writeHead`, and checks names and values as node does. Returns flags
 * or NOT_SIMPLE.
 */
export function renderFieldObject(object: Record<string, unknown>): number {
  const list: string[] = []
  let has = 0
  for (const name in object) {
    const kind = knownKinds.get(name) ?? checkFieldName(name)
    const value = object[name]
    if (kind < 0 || !Object.hasOwn(object, name)) return NOT_SIMPLE
    has |= kind
    if (isPlainValue(value)) list.push(name, `${value}`)
    else if (!Array.isArray(value) || !value.every(isPlainValue)) return NOT_SIMPLE
    else for (const one of value) list.push(name, `${one}`)
  }
  lastRenderedFields = list
  return has
}

/**
 * Whether node accepts a value and writes it unchanged. Node's own methods decide about any other
 * value.
 */
function isPlainValue(value: unknown): value is string | number {
  if (typeof value !== 'string') return typeof value === 'number'
  const { length } = value
  if (length > MAX_SCANNED_LENGTH) return !UNSAFE_CHARACTER.test(value)
  for (let index = 0; index < length; index++) {
    const code = value.charCodeAt(index)
    if (code < 0x20 || code > 0x7e) return code === 0x09 && !UNSAFE_CHARACTER.test(value)
  }
  return true
}

/** Up to this length a loop checks a value faster than a regular expression. */
const MAX_SCANNED_LENGTH = 32

/**
 * Node (`checkInvalidHeaderChar`) accepts characters beyond ASCII too, and writes them in one of
 * two encodings.
 */
const UNSAFE_CHARACTER = /[^\t\x20-\x7e]/

/**
 * Limits the maps below. An application uses few field names, unless it makes them from its input.
 */
const MAX_CHECKED_NAMES = 512
/** The kinds of valid names, in the case in which the application writes them. */
const knownKinds = new Map<string, number>()
/** The lower-case forms of valid names. */
const lowerCaseNames = new Map<string, string>()

/**
 * The object that `setHeader` fills, in place of node's `{ __proto__: null }`, which V8 keeps as a
 * dictionary. To fill and list a dictionary with a single field takes 430 ns on Node 20; this
 * object takes 120 ns.
 */
export const FieldStore = toConstructor<new () => StoredFields>(function FieldStore(
  this: object,
): void {})
FieldStore.prototype = Object.create(null)

/** Stores a simple field. Returns false, and stores nothing, if node's own method must check it. */
export function storeField(map: StoredFields, name: unknown, value: unknown): boolean {
  if (typeof name !== 'string') return false
  if (!isPlainValue(value) && !(Array.isArray(value) && value.every(isPlainValue))) return false
  let lowered = lowerCaseNames.get(name)
  if (lowered === undefined) {
    if (checkFieldName(name) === INVALID_NAME) return false
    lowered = name.toLowerCase()
    if (lowerCaseNames.size < MAX_CHECKED_NAMES) lowerCaseNames.set(name, lowered)
  }
  map[lowered] = [name, value]
  return true
}

/** Checks a name as node does. Returns its kind, or INVALID_NAME. */
function checkFieldName(name: string): number {
  try {
    http.validateHeaderName(name)
  } catch {
    // The caller then runs node's own method, which throws the same error to the application.
    return INVALID_NAME
  }
  const kind = fieldKind(name.toLowerCase())
  if (knownKinds.size < MAX_CHECKED_NAMES) knownKinds.set(name, kind)
  return kind
}

/**
 * Returns the flags of a lower-case name, or NOT_SIMPLE. The length alone decides for most names.
 */
function fieldKind(name: string): number {
  switch (name.length) {
    case 4:
      return name === 'date' ? HAS_DATE : 0
    case 6:
      return name === 'expect' || name === 'cookie' ? NOT_SIMPLE : 0
    case 7:
      return name === 'trailer' ? NOT_SIMPLE : 0
    case 10:
      return name === 'connection' || name === 'keep-alive' ? NOT_SIMPLE : 0
    case 14:
      return name === 'content-length' ? HAS_LENGTH : 0
    case 17:
      return name === 'transfer-encoding' ? NOT_SIMPLE : 0
    case 19:
      return name === 'content-disposition' ? NOT_SIMPLE : 0
    default:
      return 0
  }
}
