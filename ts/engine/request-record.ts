/**
 * Where what is in the record of a request, as `inbound.rs` writes it: `at` is where its fixed part begins, behind its
 * flags.
 */
import { REQUEST, u16, u32 } from './records.ts'

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
export function lengthsAt(text: string, at: number): number {
  return text.charCodeAt(at) !== 0 ? at + 5 : at + 7
}

/** The record ends with what a proxy told and where the application is mounted. */
export function isTold(text: string, at: number): boolean {
  return (flagsOf(text, at) & REQUEST.TOLD) !== 0
}

/** Where the record ends: its length stands before what `at` is the place of. */
export function endOf(text: string, at: number): number {
  return at - 5 + u32(text, at - 9)
}

/** Compared without making a string of it; each letter is 32 less where it is a capital. */
export function isHost(text: string, at: number): boolean {
  return (
    (text.charCodeAt(at) | 32) === 104 &&
    (text.charCodeAt(at + 1) | 32) === 111 &&
    (text.charCodeAt(at + 2) | 32) === 115 &&
    (text.charCodeAt(at + 3) | 32) === 116
  )
}

/** Whether what stands from `start` to `end` is `wanted`, without making a string of it. */
export function isAt(text: string, start: number, end: number, wanted: string): boolean {
  if (end - start !== wanted.length) return false
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) !== wanted.charCodeAt(at - start)) return false
  }
  return true
}
