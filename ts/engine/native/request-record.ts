/**
 * Reads the record of a request (REQUEST in `wire.ts`), which begins at `at` in the text of its
 * batch. These are functions and not private accessors, because V8 calls its runtime for each read
 * of a private accessor.
 */
import { copyOf, u16, u32 } from './batch-text.ts'
import type { PeerAddress } from './connection.ts'
import {
  CLIENT_ADDRESS_LENGTH_AT,
  CLIENT_FAMILY_AT,
  CLIENT_INFO_BYTES,
  CLIENT_PORT_AT,
  CLIENT_ROOT_PATH_LENGTH_AT,
  CLIENT_SECURE_AT,
  METHODS,
  REQUEST_CONNECTION_AT,
  REQUEST_FIELD_COUNT_AT,
  REQUEST_FLAG,
  REQUEST_FLAGS_AT,
  REQUEST_LENGTH_AT,
  REQUEST_LENGTHS_AT,
  REQUEST_METHOD_AT,
  REQUEST_TARGET_LENGTH_AT,
} from './wire.ts'

/** Returns the flags of the request (REQUEST_FLAG). */
export function flagsOf(text: string, at: number): number {
  return text.charCodeAt(at + REQUEST_FLAGS_AT)
}

/** Returns the end of the record. */
export function endOf(text: string, at: number): number {
  return at + REQUEST_CONNECTION_AT + u32(text, at + REQUEST_LENGTH_AT)
}

/** Returns the method. */
export function methodOf(text: string, at: number): string {
  const known = text.charCodeAt(at + REQUEST_METHOD_AT)
  if (known !== 0) return METHODS[known] ?? ''
  const start = at + REQUEST_LENGTHS_AT + 2 + fieldCount(text, at) * 4
  return text.slice(start, start + u16(text, at + REQUEST_LENGTHS_AT))
}

/** Returns the target, which Node calls the URL. */
export function urlOf(text: string, at: number): string {
  const start = urlAt(text, at)
  return copyOf(text.slice(start, start + u16(text, at + REQUEST_TARGET_LENGTH_AT)))
}

function fieldCount(text: string, at: number): number {
  return u16(text, at + REQUEST_FIELD_COUNT_AT)
}

/**
 * Where the lengths of names and values begin: after the length of a method that is spelled out.
 */
function lengthsAt(text: string, at: number): number {
  const isKnown = text.charCodeAt(at + REQUEST_METHOD_AT) !== 0
  return isKnown ? at + REQUEST_LENGTHS_AT : at + REQUEST_LENGTHS_AT + 2
}

/** Where the target begins; the fields follow it. */
function urlAt(text: string, at: number): number {
  const texts = lengthsAt(text, at) + fieldCount(text, at) * 4
  const isKnown = text.charCodeAt(at + REQUEST_METHOD_AT) !== 0
  return isKnown ? texts : texts + u16(text, at + REQUEST_LENGTHS_AT)
}

/** Whether the record ends with client info. */
function hasClientInfo(text: string, at: number): boolean {
  return (flagsOf(text, at) & REQUEST_FLAG.CLIENT_INFO) !== 0
}

/** Returns whether a trusted proxy reports that the client uses https. */
export function isSecure(text: string, at: number): boolean {
  const info = endOf(text, at) - CLIENT_INFO_BYTES
  return hasClientInfo(text, at) && text.charCodeAt(info + CLIENT_SECURE_AT) !== 0
}

/** Returns the path under which the application is mounted; empty for the root. */
export function rootPathOf(text: string, at: number): string {
  if (!hasClientInfo(text, at)) return ''
  const info = endOf(text, at) - CLIENT_INFO_BYTES
  return copyOf(text.slice(info - u16(text, info + CLIENT_ROOT_PATH_LENGTH_AT), info))
}

/** Returns the address of the client that a trusted proxy sent. */
export function clientOf(text: string, at: number): PeerAddress | undefined {
  const info = endOf(text, at) - CLIENT_INFO_BYTES
  const family = hasClientInfo(text, at) ? text.charCodeAt(info + CLIENT_FAMILY_AT) : 0
  if (family === 0) return undefined
  const end = info - u16(text, info + CLIENT_ROOT_PATH_LENGTH_AT)
  const start = end - text.charCodeAt(info + CLIENT_ADDRESS_LENGTH_AT)
  const port = u16(text, info + CLIENT_PORT_AT) || undefined
  return [copyOf(text.slice(start, end)), port, family === 4 ? 'IPv4' : 'IPv6']
}

/** Returns names and values in turn. */
export function rawHeadersOf(text: string, at: number): string[] {
  let lengths = lengthsAt(text, at)
  let start = urlAt(text, at) + u16(text, at + REQUEST_TARGET_LENGTH_AT)
  const raw: string[] = new Array(fieldCount(text, at) * 2)
  for (let index = 0; index < raw.length; index++) {
    const end = start + u16(text, lengths)
    const part = text.slice(start, end)
    // A name becomes a key, which V8 copies. A value is what applications keep.
    raw[index] = (index & 1) === 0 ? part : copyOf(part)
    start = end
    lengths += 2
  }
  return raw
}

/** The Host of the previous request. Most requests have the same: its string is used again. */
let lastHost = ''

/** Returns the value of the Host field. */
export function hostOf(text: string, at: number): string | undefined {
  let lengths = lengthsAt(text, at)
  let start = urlAt(text, at) + u16(text, at + REQUEST_TARGET_LENGTH_AT)
  for (let left = fieldCount(text, at); left > 0; left--) {
    const name = u16(text, lengths)
    const value = start + name
    const end = value + u16(text, lengths + 2)
    if (name === 4 && isHost(text, start)) {
      if (!isEqual(text, value, end, lastHost)) lastHost = copyOf(text.slice(value, end))
      return lastHost
    }
    start = end
    lengths += 4
  }
  return undefined
}

/** Compares a name with "host" in any case, without creating a string. */
function isHost(text: string, at: number): boolean {
  return (
    (text.charCodeAt(at) | 32) === 104 &&
    (text.charCodeAt(at + 1) | 32) === 111 &&
    (text.charCodeAt(at + 2) | 32) === 115 &&
    (text.charCodeAt(at + 3) | 32) === 116
  )
}

/** Compares a range of the text with a string, without creating one. */
function isEqual(text: string, start: number, end: number, wanted: string): boolean {
  if (end - start !== wanted.length) return false
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) !== wanted.charCodeAt(at - start)) return false
  }
  return true
}
