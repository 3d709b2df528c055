/** A `Response` as commands of an exchange. */

import type { Exchange } from '../../engine/exchange.ts'
import { CHUNKED, CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../../engine/exchange.ts'
import { isQuick, onlyType, pairsOf, quickBody } from './response.ts'

/** What sending needs of the call. */
export interface Sending {
  readonly exchange: Exchange
  readonly aborted: boolean
  /** The reader of a streaming body, which is told when the client goes. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  /** Resolves when there is room again, or the client has gone. */
  room(): Promise<void>
}

interface Head {
  readonly fields: string
  readonly flags: number
  /** The application's own Content-Length. */
  readonly length: number | undefined
}

/** Answers; the promise of a streaming body rejects when the application's stream fails. */
export function sendResponse(sending: Sending, response: Response): Promise<void> | undefined {
  const { exchange } = sending
  const { status } = response
  const silent = exchange.method === 'HEAD' || status === 204 || status === 304
  if (isQuick(response)) {
    const body = quickBody(response) ?? undefined
    const head = headOf(response, silent)
    const length = status === 204 || status === 304 ? 0 : LENGTH
    const own = body === undefined && head.length !== undefined
    const fields = own ? withLength(head) : head.fields
    const flags = own ? head.flags : head.flags | length
    exchange.respond(status, reasonOf(response), fields, flags, body, 'utf8')
    return undefined
  }
  const head = headOf(response, silent)
  const { body } = response
  if (body !== null && !silent) return sendStream(sending, response, head, body)
  // A HEAD of a stream has no length that one could know; one without a body at all has.
  const length = status === 204 || status === 304 || body !== null ? 0 : LENGTH
  const own = head.length === undefined ? length : 0
  const fields = withLength(head)
  exchange.respond(status, reasonOf(response), fields, head.flags | own, undefined, 'utf8')
  body?.cancel().catch(ignore)
  return undefined
}

async function sendStream(
  sending: Sending,
  response: Response,
  head: Head,
  body: ReadableStream<Uint8Array>,
): Promise<void> {
  const { exchange } = sending
  const reader = body.getReader()
  sending.reader = reader
  const framing = head.length === undefined ? CHUNKED : 0
  exchange.head(response.status, reasonOf(response), withLength(head), head.flags | framing)
  let left = head.length ?? Number.POSITIVE_INFINITY
  for (;;) {
    const { done, value } = await reader.read()
    if (sending.aborted) return
    if (done) break
    left -= value.length
    // What the application announced cannot be kept: the client must not take the answer for a whole one.
    if (left < 0) break
    if (value.length > 0 && !exchange.write(value)) await sending.room()
    if (sending.aborted) return
  }
  if (left === 0 || head.length === undefined) exchange.end()
  else exchange.reset()
}

/** The fields that are the application's; those that frame and govern the connection are the engine's. */
function headOf(response: Response, silent: boolean): Head {
  let fields = ''
  let flags = DATE | CONNECTION | (silent ? NO_BODY : 0)
  let length: number | undefined
  const type = onlyType(response)
  if (type !== undefined) return { fields: fieldOfType(type), flags, length }
  for (const [name, value] of pairsOf(response)) {
    switch (name) {
      case 'content-length':
        length = /^\d+$/.test(value) ? Number(value) : undefined
        continue
      case 'connection':
        if (/(?:^|\W)close(?:$|\W)/i.test(value)) flags |= CLOSE
        continue
      case 'keep-alive':
      case 'transfer-encoding':
        continue
      case 'date':
        flags &= ~DATE
        break
    }
    fields += `${name}: ${value}\r\n`
  }
  return { fields, flags, length }
}

const TYPES = new Map<string, string>()

/** There are two, and a line that is made once is one that is flat already. */
function fieldOfType(type: string): string {
  let field = TYPES.get(type)
  if (field === undefined) {
    field = `content-type: ${type}\r\n`
    TYPES.set(type, field)
  }
  return field
}

function withLength({ fields, length }: Head): string {
  return length === undefined ? fields : `${fields}content-length: ${length}\r\n`
}

/** Undefined is the status code's own phrase. */
function reasonOf(response: Response): string | undefined {
  const { statusText } = response
  return statusText === '' ? undefined : statusText
}

function ignore(): void {}
