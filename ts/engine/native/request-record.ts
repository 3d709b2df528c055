/**
 * Where what is in the record of a request, as `inbound.rs` writes it: `at` is where its fixed part begins, behind its
 * flags.
 */
import type { Peer } from './connection.ts'
import { copyOf, REQUEST, TOLD_BYTES, u16, u32 } from './wire.ts'

// Functions and not private accessors, each read of which is a call into V8's runtime.

/** The flags of a request's record, which stand before its fixed part. */
export function flagsOf(text: string, at: number): number {
  return text.charCodeAt(at - 1)
}

/** Where the target begins; the fields stand behind it. */
export function urlAt(text: string, at: number): number {
  const lengths = lengthsAt(text, at) + u16(text, at + 3) * 4
  return text.charCodeAt(at) !== 0 ? lengths : lengths + u16(text, at + 5)
}

/** Where the lengths of names and values begin. */
function lengthsAt(text: string, at: number): number {
  return text.charCodeAt(at) !== 0 ? at + 5 : at + 7
}

/** The record ends with what a proxy told and where the application is mounted. */
function hasClientInfo(text: string, at: number): boolean {
  return (flagsOf(text, at) & REQUEST.TOLD) !== 0
}

/** Where the record ends: its length stands before what `at` is the place of. */
function endOf(text: string, at: number): number {
  return at - 5 + u32(text, at - 9)
}

/** A trusted proxy says that the client speaks https. */
export function isSecure(text: string, at: number): boolean {
  return hasClientInfo(text, at) && text.charCodeAt(endOf(text, at) - TOLD_BYTES + 3) !== 0
}

/** Where the application is mounted; empty for the root. */
export function prefixOf(text: string, at: number): string {
  if (!hasClientInfo(text, at)) return ''
  const end = endOf(text, at) - TOLD_BYTES
  return copyOf(text.slice(end - u16(text, end + 5), end))
}

/** The client as a trusted proxy told it. */
export function clientOf(text: string, at: number): Peer | undefined {
  const end = endOf(text, at) - TOLD_BYTES
  const family = hasClientInfo(text, at) ? text.charCodeAt(end) : 0
  if (family === 0) return undefined
  const until = end - u16(text, end + 5)
  const address = copyOf(text.slice(until - text.charCodeAt(end + 4), until))
  return [address, u16(text, end + 1) || undefined, family === 4 ? 'IPv4' : 'IPv6']
}

/** Names and values in turn. */
export function rawHeadersOf(text: string, at: number): string[] {
  let lengths = lengthsAt(text, at)
  let start = urlAt(text, at) + u16(text, at + 1)
  const raw: string[] = new Array(u16(text, at + 3) * 2)
  for (let index = 0; index < raw.length; index++) {
    const end = start + u16(text, lengths)
    const part = text.slice(start, end)
    // Names become keys, which are texts of their own; values are what programs keep.
    raw[index] = (index & 1) === 0 ? part : copyOf(part)
    start = end
    lengths += 2
  }
  return raw
}

/** Most requests name the host that the one before named: the same string is neither made anew nor compared further. */
let lastHost = ''

/** The value of the Host field. */
export function hostOf(text: string, at: number): string | undefined {
  let lengths = lengthsAt(text, at)
  let start = urlAt(text, at) + u16(text, at + 1)
  for (let left = u16(text, at + 3); left > 0; left--) {
    const name = u16(text, lengths)
    const value = start + name
    const end = value + u16(text, lengths + 2)
    if (name === 4 && isHost(text, start)) {
      if (!isAt(text, value, end, lastHost)) lastHost = copyOf(text.slice(value, end))
      return lastHost
    }
    start = end
    lengths += 4
  }
  return undefined
}

/** Compared without making a string of it; each letter is 32 less where it is a capital. */
function isHost(text: string, at: number): boolean {
  return (
    (text.charCodeAt(at) | 32) === 104 &&
    (text.charCodeAt(at + 1) | 32) === 111 &&
    (text.charCodeAt(at + 2) | 32) === 115 &&
    (text.charCodeAt(at + 3) | 32) === 116
  )
}

/** Whether what stands from `start` to `end` is `wanted`, without making a string of it. */
function isAt(text: string, start: number, end: number, wanted: string): boolean {
  if (end - start !== wanted.length) return false
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) !== wanted.charCodeAt(at - start)) return false
  }
  return true
}
