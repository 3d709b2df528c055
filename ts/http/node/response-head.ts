/**
 * Parses the head of a response that node has rendered, since the engine writes every head itself.
 */
import type { Body, Encoding } from './internals.ts'

/** The head is not decided yet. */
export const HEAD_UNDECIDED = 0
/** The head is in the fields `status`, `reason`, `fields` and `flags` of the pair. */
export const HEAD_SIMPLE = 1
/** Node has rendered the head into `res._header`. */
export const HEAD_RENDERED = 2

interface RenderedHead {
  readonly status: number
  readonly reason: string
  /** Lines of `Name: value`, each with its line end. */
  readonly fields: string
}

/** The index of the status code. */
const STATUS_OFFSET = 'HTTP/1.1 '.length

/**
 * Parses a rendered head, since the engine writes every head itself: `HTTP/1.1 200 OK\r\nName:
 * value\r\n...\r\n\r\n`. What the application sets after node has rendered this text has no effect.
 *
 * Node writes the head together with the first string of the body, and so in its encoding. For a
 * string in UTF-8 the result has the bytes of the head in UTF-8; the engine writes heads in
 * Latin-1.
 */
export function parseRenderedHead(
  header: string,
  first: Body | undefined,
  encoding: Encoding,
): RenderedHead {
  const end = header.indexOf('\r\n')
  const isUtf8 = typeof first === 'string' && (!encoding || encoding === 'utf8')
  const toWire = (text: string) => (isUtf8 ? Buffer.from(text).toString('latin1') : text)
  return {
    status: Number(header.slice(STATUS_OFFSET, STATUS_OFFSET + 3)),
    reason: toWire(header.slice(STATUS_OFFSET + 4, end)),
    fields: toWire(header.slice(end + 2, -2)),
  }
}
