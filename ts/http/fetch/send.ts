/** Sends a `Response` by the commands of an exchange. */

import type { Exchange } from '../../engine/exchange.ts'
import { CHUNKED, CLOSE, CONNECTION, DATE, LENGTH, NO_BODY } from '../../engine/exchange.ts'
import { bodyUnusable, invalidStatus, lengthMismatch, notBytes } from '../node/errors.ts'
import { isDecoded } from './fetched.ts'
import { fieldPairsOf, isQuick, quickBody, soleContentType } from './response.ts'

/** The part of a fetch exchange that sends the response. */
export interface OutgoingResponse {
  readonly exchange: Exchange
  readonly isAborted: boolean
  /** The reader of a streaming body, which is cancelled when the client closes the connection. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  /** Resolves when the engine has room again, or the client has closed the connection. */
  waitForRoom(): Promise<void>
}

interface ResponseHead {
  readonly fields: string
  readonly flags: number
  /** The Content-Length that the application gave. */
  readonly length: number | undefined
}

/**
 * Sends a response. Throws before anything is sent if the response is not valid. For a streaming
 * body it returns a promise, which rejects if the application's stream fails.
 */
export function sendResponse(
  outgoing: OutgoingResponse,
  response: Response,
): Promise<void> | undefined {
  const { exchange } = outgoing
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
  if (stream !== null && !isSilent) return sendStream(outgoing, { response, head, stream })
  let { fields, flags } = head
  if (status !== 204) {
    // Content-Length may differ from the body only where none is sent: it is the length for a GET
    // (RFC 9110 section 8.6).
    if (isSilent && body === undefined && head.length !== undefined) fields = withLength(head)
    // The length of a stream is unknown. A response without any body has length 0.
    else if (status !== 304 && stream === null && !(isSilent && decoded)) flags |= LENGTH
  }
  exchange.respond(status, reasonOf(response), fields, flags, body, 'utf8')
  stream?.cancel().catch(ignoreCancelError)
  return undefined
}

/** Throws if a native response cannot be sent. A quick response is always valid. */
function assertSendable({ status, bodyUsed, body }: Response): void {
  if (!(status >= 200 && status <= 599)) throw invalidStatus(status)
  if (bodyUsed || body?.locked) throw bodyUnusable()
}

interface StreamingResponse {
  readonly response: Response
  readonly head: ResponseHead
  readonly stream: ReadableStream<Uint8Array>
}

function sendStream(
  outgoing: OutgoingResponse,
  { response, head, stream }: StreamingResponse,
): Promise<void> {
  const { exchange } = outgoing
  const reader = stream.getReader()
  let { fields, flags } = head
  if (head.length !== undefined) fields = withLength(head)
  else if (exchange.httpVersionMinor === 1) flags |= CHUNKED
  // HTTP/1.0 has no chunks: the body ends with the connection (RFC 9112 section 6.3).
  else flags |= CLOSE
  exchange.head(response.status, reasonOf(response), fields, flags)
  outgoing.reader = reader
  return pump(outgoing, reader, head.length)
}

/**
 * Sends the chunks of a stream as the client takes them. Rejects if their length is not `length`.
 */
async function pump(
  outgoing: OutgoingResponse,
  reader: ReadableStreamDefaultReader<unknown>,
  length: number | undefined,
): Promise<void> {
  const { exchange } = outgoing
  let sent = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (outgoing.isAborted) return
    if (done) break
    if (!(value instanceof Uint8Array)) throw notBytes(value)
    sent += value.length
    if (length !== undefined && sent > length) throw lengthMismatch(length, sent)
    if (value.length > 0 && !exchange.write(value)) await outgoing.waitForRoom()
    if (outgoing.isAborted) return
  }
  if (length !== undefined && sent < length) throw lengthMismatch(length, sent)
  exchange.end()
}

/**
 * Renders the application's fields. The engine writes those that frame the body and govern the
 * connection.
 */
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
      // A Response has no trailers.
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

/** Renders a Content-Type. There are only two, and V8 has flattened a string that is used again. */
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

/** The reason phrase; undefined for the standard phrase of the status code. */
function reasonOf(response: Response): string | undefined {
  const { statusText } = response
  return statusText === '' ? undefined : statusText
}

/** Does nothing: the body is not sent, so an error of its stream is of no interest. */
function ignoreCancelError(): void {}
