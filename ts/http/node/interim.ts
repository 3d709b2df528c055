/**
 * Parses interim responses (1xx, RFC 9110 section 15.2). Node's methods and applications write them
 * as text; the engine takes status, reason and fields.
 */
import type { Body } from './internals.ts'

export interface InterimResponse {
  readonly status: number
  readonly reason: string
  /** Lines of `Name: value`, each with its line end. */
  readonly fields: string
}

const INTERIM_START = /^HTTP\/1\.1 1\d\d /
const INTERIM_HEAD = /^HTTP\/1\.1 (1\d\d) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n$/

/** Text longer than this is no interim response. */
const MAX_HEAD_LENGTH = 65_536

/** The text so far of heads that are written in parts, by the writer. */
const incompleteHeads = new WeakMap<object, string>()

/**
 * Parses the text that `writer` writes. Returns the interim response that is now complete,
 * 'incomplete' if more of its head must follow, and undefined for any other data.
 */
export function parseInterim(
  writer: object,
  data: Body,
): InterimResponse | 'incomplete' | undefined {
  if (typeof data !== 'string') return undefined
  const before = incompleteHeads.get(writer) ?? ''
  if (before === '' && !INTERIM_START.test(data)) return undefined
  const text = before + data
  const match = INTERIM_HEAD.exec(text)
  if (match === null && text.length <= MAX_HEAD_LENGTH) {
    incompleteHeads.set(writer, text)
    return 'incomplete'
  }
  incompleteHeads.delete(writer)
  if (match === null) return undefined
  return { status: Number(match[1]), reason: match[2] ?? '', fields: match[3] ?? '' }
}
