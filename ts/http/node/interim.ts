/** Interim answers (1xx), which node's methods, and programs, write as text. */
import type { Body } from './internals.ts'

export interface InterimResponse {
  readonly status: number
  readonly reason: string
  readonly fields: string
}

const INTERIM_START = /^HTTP\/1\.1 1\d\d /
const INTERIM_HEAD = /^HTTP\/1\.1 (1\d\d) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n$/

/** A longer head is none. */
const MAX_HEAD_LENGTH = 65_536

/** What has come of heads that are written in parts, by who writes them. */
const incompleteHeads = new WeakMap<object, string>()

/** The interim answer that is complete with this, 'part' as long as it is not, and undefined for anything else. */
export function parseInterim(writer: object, data: Body): InterimResponse | 'part' | undefined {
  if (typeof data !== 'string') return undefined
  const before = incompleteHeads.get(writer) ?? ''
  if (before === '' && !INTERIM_START.test(data)) return undefined
  const text = before + data
  const match = INTERIM_HEAD.exec(text)
  if (match === null && text.length <= MAX_HEAD_LENGTH) {
    incompleteHeads.set(writer, text)
    return 'part'
  }
  incompleteHeads.delete(writer)
  if (match === null) return undefined
  return { status: Number(match[1]), reason: match[2] ?? '', fields: match[3] ?? '' }
}
