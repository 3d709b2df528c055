/** The request limits that node's parser does not know (node engine only): checked when a head is complete. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EngineConfig } from '../../engine/engine.ts'

/** ` HTTP/1.1` and the blank before the target count, as Gunicorn counts the whole line. */
const LINE_OVERHEAD = ' '.length + ' HTTP/1.1'.length

/** The status with which a request is refused, or 0. */
export function refusalOf(req: IncomingMessage, config: EngineConfig): number {
  const line = (req.method ?? '').length + (req.url ?? '').length + LINE_OVERHEAD
  if (config.limit_request_line > 0 && line > config.limit_request_line) return 414
  if (req.rawHeaders.length > config.limit_request_fields * 2) return 431
  if (config.limit_request_body > 0) return bodyRefusal(req, config.limit_request_body)
  return 0
}

function bodyRefusal(req: IncomingMessage, limit: number): number {
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
export function limitAnswer(req: IncomingMessage, res: ServerResponse, limitMs: number): void {
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
