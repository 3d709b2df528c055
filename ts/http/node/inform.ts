/** Interim answers (1xx), which node's methods write as text. */
import type { Body } from './internals.ts'

export interface Inform {
  readonly status: number
  readonly reason: string
  readonly fields: string
}

const HEAD = /^HTTP\/1\.1 (1\d\d) ([^\r\n]*)\r\n([\s\S]*)\r\n$/

/** The parts of an interim answer's head, or undefined when the data are no such. */
export function informOf(data: Body): Inform | undefined {
  if (typeof data !== 'string') return undefined
  const match = HEAD.exec(data)
  if (match === null) return undefined
  return { status: Number(match[1]), reason: match[2] ?? '', fields: match[3] ?? '' }
}
