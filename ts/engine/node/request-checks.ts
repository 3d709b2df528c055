/**
 * Checks of the request head that Node's parser does not make: limits of the settings and rules of
 * RFC 9112. For the engine on node:http.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EngineConfig } from '../engine.ts'
import { isHost } from './forwarding.ts'

/**
 * Bytes of the request line beside method and target. Gunicorn's `limit_request_line` counts the
 * whole line.
 */
const LINE_OVERHEAD = ' '.length + ' HTTP/1.1'.length

/**
 * Bytes of a field line beside name and value; further white space has been removed by the parser.
 */
const FIELD_OVERHEAD = ': \r\n'.length

/** A single `chunked`, with empty list elements (RFC 9110 section 5.6.1.2). */
const CHUNKED_ALONE = /^[\s,]*chunked[\s,]*$/i

/** Returns the status of a refusal, or 0. */
export function findRefusalStatus(req: IncomingMessage, config: EngineConfig): number {
  const { method = '', url = '', rawHeaders, httpVersionMajor, httpVersionMinor } = req
  if (httpVersionMajor !== 1 || httpVersionMinor > 1) return 505
  const line = method.length + url.length + LINE_OVERHEAD
  if (config.limit_request_line > 0 && line > config.limit_request_line) return 414
  // A fragment is never sent (RFC 9110 section 4.1): two readers may find two paths.
  if (url.includes('#')) return 400
  if (!url.startsWith('/') && method !== 'CONNECT' && !isTarget(url, method)) return 400
  // The target of CONNECT is a host and a port (RFC 9112 section 3.2.3).
  if (method === 'CONNECT' && !(isHost(url) && /.:\d+$/.test(url))) return 400
  if (rawHeaders.length > config.limit_request_fields * 2) return 431
  const fields = findFieldRefusal(req, config.limit_request_field_size || Number.POSITIVE_INFINITY)
  if (fields !== 0) return fields
  if (config.limit_request_body > 0) return findBodyRefusal(req, config.limit_request_body)
  return 0
}

/**
 * Whether a target is in asterisk-form or absolute-form (RFC 9112 section 3.2). User information
 * before the host is refused as a likely deception.
 */
function isTarget(url: string, method: string): boolean {
  if (url === '*') return method === 'OPTIONS'
  const host = /^[a-z][a-z\d+.-]*:\/\/([^/?#]+)/i.exec(url)?.[1]
  return host !== undefined && !host.startsWith(':') && isHost(host)
}

function findFieldRefusal({ rawHeaders, httpVersionMinor }: IncomingMessage, size: number): number {
  let hasHost = false
  let hasType = false
  let hasCoding = false
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    const value = rawHeaders[at + 1] ?? ''
    if (name.length + value.length + FIELD_OVERHEAD > size) return 431
    // The three names have different lengths. A repeated field is refused, since another parser may
    // use the other one.
    if (name.length === 4 && name.toLowerCase() === 'host') {
      if (hasHost || !isRepeatedHost(value)) return 400
      hasHost = true
    } else if (name.length === 12 && name.toLowerCase() === 'content-type') {
      if (hasType) return 400
      hasType = true
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      // Node.js decodes only `chunked` and passes other codings on as they are. In HTTP/1.0,
      // another parser may ignore the field.
      if (httpVersionMinor === 0 || value === '') return 400
      if (hasCoding || !CHUNKED_ALONE.test(value)) return 501
      hasCoding = true
    }
  }
  return 0
}

let lastHost = ''

/** Like `isHost`, but remembers the last valid host: most requests repeat it. */
function isRepeatedHost(value: string): boolean {
  if (value === lastHost) return true
  if (!isHost(value)) return false
  lastHost = value
  return true
}

function findBodyRefusal(req: IncomingMessage, limit: number): number {
  const length = req.headers['content-length']
  if (length !== undefined) return Number(length) > limit ? 413 : 0
  if (req.headers['transfer-encoding'] === undefined) return 0
  // The length of a chunked body is not known in advance: exceeding the limit aborts the
  // connection.
  const push = req.push
  let received = 0
  req.push = function limited(this: IncomingMessage, chunk: Buffer | null, encoding) {
    received += chunk === null ? 0 : chunk.length
    if (received <= limit) return push.call(this, chunk, encoding)
    this.destroy()
    return false
  }
  return 0
}

/**
 * Sends a 504 and closes the connection if the application has sent no response head within
 * `limitMs` after the end of the request body.
 */
export function limitResponseTime(
  req: IncomingMessage,
  res: ServerResponse,
  limitMs: number,
): void {
  const start = (): void => {
    const timer = setTimeout(() => {
      if (res.headersSent || res.destroyed) return
      // Written to the socket, so that the handler finds a destroyed response rather than an ended
      // one.
      req.socket.end(GATEWAY_TIMEOUT)
      req.socket.destroySoon()
    }, limitMs)
    res.once('close', () => clearTimeout(timer))
  }
  if (req.complete || !hasBody(req)) start()
  else req.once('end', start)
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'] ?? '0'
  return headers['transfer-encoding'] !== undefined || length !== '0'
}

const GATEWAY_TIMEOUT =
  'HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
