/** What node's parser does not know of limits and RFC 9112 (node engine only): checked when a head is complete. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EngineConfig } from '../engine.ts'
import { isHost } from './forwarding.ts'

/** ` HTTP/1.1` and the blank before the target count, as Gunicorn counts the whole line. */
const LINE_OVERHEAD = ' '.length + ' HTTP/1.1'.length

/** `: ` and the line's end; white space more than that is gone by now. */
const FIELD_OVERHEAD = ': \r\n'.length

/** The status with which a request is refused, or 0. */
export function findRefusalStatus(req: IncomingMessage, config: EngineConfig): number {
  const { method = '', url = '', rawHeaders, httpVersionMajor, httpVersionMinor } = req
  if (httpVersionMajor !== 1 || httpVersionMinor > 1) return 505
  const line = method.length + url.length + LINE_OVERHEAD
  if (config.limit_request_line > 0 && line > config.limit_request_line) return 414
  if (!url.startsWith('/') && method !== 'CONNECT' && !isTarget(url, method)) return 400
  // RFC 9112 section 3.2.3: a host and a port, and nothing else.
  if (method === 'CONNECT' && !(isHost(url) && /.:\d+$/.test(url))) return 400
  if (rawHeaders.length > config.limit_request_fields * 2) return 431
  const fields = findFieldRefusal(req, config.limit_request_field_size || Number.POSITIVE_INFINITY)
  if (fields !== 0) return fields
  if (config.limit_request_body > 0) return findBodyRefusal(req, config.limit_request_body)
  return 0
}

/** RFC 9112 section 3.2: an asterisk, or a scheme and a host; with a user before that it is meant to deceive. */
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
    // Three names are looked at, and each has a length of its own. A second one is another reader's only one.
    if (name.length === 4 && name.toLowerCase() === 'host') {
      if (hasHost || !isRepeatedHost(value)) return 400
      hasHost = true
    } else if (name.length === 12 && name.toLowerCase() === 'content-type') {
      if (hasType) return 400
      hasType = true
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      // Node decodes chunks and passes on the rest as it is; on 1.0 others would see no coding at all.
      if (httpVersionMinor === 0 || value === '') return 400
      if (hasCoding || value.toLowerCase() !== 'chunked') return 501
      hasCoding = true
    }
  }
  return 0
}

let lastHost = ''

/** Most requests name the host that the one before named. */
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
  // A chunked body has no length to look at beforehand: what exceeds the limit ends the connection.
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

/** Answers 504 past the application, and ends the connection, if the head of its answer is not there in time. */
export function limitResponseTime(
  req: IncomingMessage,
  res: ServerResponse,
  limitMs: number,
): void {
  const start = (): void => {
    const timer = setTimeout(() => {
      if (res.headersSent || res.destroyed) return
      // On the socket and not on the response: what the handler still does there must find it destroyed, not ended.
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
