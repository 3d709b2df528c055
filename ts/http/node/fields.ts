/**
 * Header fields of simple answers, rendered without node's help. Whatever is not simple (a field that frames the body
 * or governs the connection, a value that may be refused) is left to node's own methods, which decide exactly.
 */
import http from 'node:http'

/** What a block of fields contains beside its text. */
export const HAS_DATE = 1
export const HAS_LENGTH = 2

/** The fields are not simple. */
export const NOT_SIMPLE = -1

const INVALID_NAME = -2

export type StoredFields = Record<string, [name: string, value: unknown]>

/** What was rendered last, names and values in turn: a second result without an object for each request. */
export let lastRenderedFields: string[] = []

/** Renders `res[kOutHeaders]`, whose names and values `setHeader` has checked. */
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

/** Renders the object given to `writeHead`, checking names and values as node does. */
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

/** A value that node accepts, and writes as it is; of any other its own methods decide. */
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

/** A value this short is looked through faster from here than by an expression. */
const MAX_SCANNED_LENGTH = 32

/** Node's own rule for values (`checkInvalidHeaderChar`) allows letters beyond ASCII too, in one of two encodings. */
const UNSAFE_CHARACTER = /[^\t\x20-\x7e]/

/** An application has few field names; the bound is for one that makes them from its input. */
const MAX_CHECKED_NAMES = 512
const knownKinds = new Map<string, number>()
const lowerCaseNames = new Map<string, string>()

/**
 * What `setHeader` fills instead of node's `{ __proto__: null }`, which V8 keeps as a dictionary: filling and listing
 * one with a single field costs 430 ns of Node 20, this one 120.
 */
export function FieldStore(this: object): void {}
FieldStore.prototype = Object.create(null)

/** Sets a simple field; false when node's own method has to check it. */
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

function checkFieldName(name: string): number {
  try {
    http.validateHeaderName(name)
  } catch {
    // Node's own method throws the same again, from where the application expects it.
    return INVALID_NAME
  }
  const kind = fieldKind(name.toLowerCase())
  if (knownKinds.size < MAX_CHECKED_NAMES) knownKinds.set(name, kind)
  return kind
}

/** By length first: most names are told apart by that alone. */
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
