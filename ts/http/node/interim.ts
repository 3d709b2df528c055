/** Interim answers (1xx), which node's methods, and programs, write as text. */
import type { Body } from './internals.ts'

export interface Inform {
  readonly status: number
  readonly reason: string
  readonly fields: string
}

const BEGIN = /^HTTP\/1\.1 1\d\d /
const HEAD = /^HTTP\/1\.1 (1\d\d) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n$/

/** A longer head is none. */
const MOST_LENGTH = 65_536

/** What has come of heads that are written in parts, by who writes them. */
const begun = new WeakMap<object, string>()

/** The interim answer that is complete with this, 'part' as long as it is not, and undefined for anything else. */
export function informOf(writer: object, data: Body): Inform | 'part' | undefined {
  if (typeof data !== 'string') return undefined
  const before = begun.get(writer) ?? ''
  if (before === '' && !BEGIN.test(data)) return undefined
  const text = before + data
  const match = HEAD.exec(text)
  if (match === null && text.length <= MOST_LENGTH) {
    begun.set(writer, text)
    return 'part'
  }
  begun.delete(writer)
  if (match === null) return undefined
  return { status: Number(match[1]), reason: match[2] ?? '', fields: match[3] ?? '' }
}
