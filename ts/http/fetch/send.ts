/** A `Response` as commands of an exchange. */

import type { Exchange } from '../../engine/exchange.ts'
import { CHUNKED, CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../../engine/exchange.ts'
import { bodyUnusable, invalidStatus, lengthMismatch, notBytes } from '../node/errors.ts'
import { isDecoded } from './fetched.ts'
import { fieldPairsOf, isQuick, quickBody, soleContentType } from './response.ts'

/** What sending needs of the call. */
export interface OutgoingResponse {
  readonly exchange: Exchange
  readonly isAborted: boolean
  /** The reader of a streaming body, which is told when the client goes. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  /** Resolves when there is room again, or the client has gone. */
  waitForRoom(): Promise<void>
}

interface ResponseHead {
  readonly fields: string
  readonly flags: number
  /** The application's own Content-Length. */
  readonly length: number | undefined
}

/**
 * Answers, or throws before anything is sent; the promise of a streaming body rejects when the application's stream
 * fails.
 */
export function sendResponse(
  sending: OutgoingResponse,
  response: Response,
): Promise<void> | undefined {
  const { exchange } = sending
  const { status } = response
  const isSilent = exchange.method === 'HEAD' || status === 204 || status === 304
  let body: string | Uint8Array | undefined
  let stream: ReadableStream<Uint8Array> | null = null
  let decoded = false
  if (isQuick(response)) {
    body = quickBody(response) ?? undefined
  } else {
    assertSendable(response)
    stream = response.body
    decoded = isDecoded(response)
  }
  const head = composeHead(response, { isSilent, decoded })
  if (stream !== null && !isSilent) return sendStream(sending, response, head, stream)
  let { fields, flags } = head
  if (status !== 204) {
    // Only where none is sent may it be the length of a body that another request would get (RFC 9110 section 8.6).
    if (isSilent && body === undefined && head.length !== undefined) fields = withLength(head)
    // A HEAD of a stream has no length that one could know; one without a body at all has.
    else if (status !== 304 && stream === null && !(isSilent && decoded)) flags |= LENGTH
  }
  exchange.respond(status, reasonOf(response), fields, flags, body, 'utf8')
  stream?.cancel().catch(ignoreCancelError)
  return undefined
}

/** What a quick response cannot be otherwise. */
function assertSendable({ status, bodyUsed, body }: Response): void {
  if (!(status >= 200 && status <= 599)) throw invalidStatus(status)
  if (bodyUsed || body?.locked) throw bodyUnusable()
}

function sendStream(
  sending: OutgoingResponse,
  response: Response,
  head: ResponseHead,
  body: ReadableStream<Uint8Array>,
): Promise<void> {
  const { exchange } = sending
  const reader = body.getReader()
  let { fields, flags } = head
  if (head.length !== undefined) fields = withLength(head)
  else if (exchange.httpVersionMinor === 1) flags |= CHUNKED
  // HTTP/1.0 knows no chunks: the body ends with the connection (RFC 9112 section 6.3).
  else flags |= CLOSE
  exchange.head(response.status, reasonOf(response), fields, flags)
  sending.reader = reader
  return pump(sending, reader, head.length)
}

async function pump(
  sending: OutgoingResponse,
  reader: ReadableStreamDefaultReader<unknown>,
  length: number | undefined,
): Promise<void> {
  const { exchange } = sending
  let sent = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (sending.isAborted) return
    if (done) break
    if (!(value instanceof Uint8Array)) throw notBytes(value)
    sent += value.length
    if (length !== undefined && sent > length) throw lengthMismatch(length, sent)
    if (value.length > 0 && !exchange.write(value)) await sending.waitForRoom()
    if (sending.isAborted) return
  }
  if (length !== undefined && sent < length) throw lengthMismatch(length, sent)
  exchange.end()
}

/** The fields that are the application's; those that frame and govern the connection are the engine's. */
function composeHead(
  response: Response,
  { isSilent, decoded }: { isSilent: boolean; decoded: boolean },
): ResponseHead {
  let fields = ''
  let flags = DATE | CONNECTION | (isSilent ? NO_BODY : 0)
  let length: number | undefined
  const type = soleContentType(response)
  if (type !== undefined) return { fields: contentTypeField(type), flags, length }
  for (const [name, value] of fieldPairsOf(response)) {
    if (decoded && (name === 'content-encoding' || name === 'content-length')) continue
    switch (name) {
      case 'content-length':
        length = /^\d+$/.test(value) ? Number(value) : undefined
        continue
      case 'connection':
        if (/(?:^|\W)close(?:$|\W)/i.test(value)) flags |= CLOSE
        continue
      case 'keep-alive':
      case 'transfer-encoding':
      // A Response has none.
      case 'trailer':
        continue
      case 'date':
        flags &= ~DATE
        break
    }
    fields += `${name}: ${value}\r\n`
  }
  return { fields, flags, length }
}

const contentTypeFields = new Map<string, string>()

/** There are two, and a line that is made once is one that is flat already. */
function contentTypeField(type: string): string {
  let field = contentTypeFields.get(type)
  if (field === undefined) {
    field = `content-type: ${type}\r\n`
    contentTypeFields.set(type, field)
  }
  return field
}

function withLength({ fields, length }: ResponseHead): string {
  return length === undefined ? fields : `${fields}content-length: ${length}\r\n`
}

/** Undefined is the status code's own phrase. */
function reasonOf(response: Response): string | undefined {
  const { statusText } = response
  return statusText === '' ? undefined : statusText
}

function ignoreCancelError(): void {}
