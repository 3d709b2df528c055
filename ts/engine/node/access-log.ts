/**
 * Writes the access log of the engine on node:http: a line for each response and for each tunnel.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { responseInternals } from '../../http/node/internals.ts'
import type { MountedRequest } from '../../http/node/root-path.ts'
import type { AccessLog } from '../../log/access.ts'
import { system } from '../../process/system.ts'
import type { NodeTunnel } from './tunnel.ts'

/** What the access line needs of a response, read when it has been sent or aborted. */
interface LoggedResponse {
  /** Status code; 0 if there was no response, which is not logged. */
  readonly status: number
  /** Status line and header fields as they were written; empty if they were not. */
  readonly head: string
  /**
   * Returns the size of the body; `overSocket` is the number of bytes written to the socket after
   * the head.
   */
  countBodyBytes(overSocket: number): number
}

/** Logs a response when it is complete or the client has disconnected. */
export function logResponse(log: AccessLog, req: IncomingMessage, res: ServerResponse): void {
  logWhenClosed(log, req, res, () => {
    const { _header: head } = responseInternals(res)
    return {
      status: head ? res.statusCode : 0,
      head: head ?? '',
      countBodyBytes: (overSocket) => bodyBytes(res, overSocket),
    }
  })
}

/** Logs a connection that the application has taken over, when it is closed. */
export function logTunnel(log: AccessLog, req: IncomingMessage, tunnel: NodeTunnel): void {
  logWhenClosed(log, req, req.socket, () => ({
    status: tunnel.status,
    head: tunnel.head,
    countBodyBytes: (overSocket) => Math.max(0, overSocket),
  }))
}

function logWhenClosed(
  log: AccessLog,
  req: IncomingMessage,
  closing: EventEmitter,
  answered: () => LoggedResponse,
): void {
  const startedMs = system.now()
  const { socket, method = '' } = req
  const { originalUrl, url = '' }: MountedRequest = req
  const { remoteAddress } = socket
  const writtenBefore = socket.bytesWritten
  closing.once('close', () => {
    const { status, head, countBodyBytes: bodyBytes } = answered()
    if (status === 0) return
    log.log({
      remoteAddress,
      method,
      url: originalUrl ?? url,
      protocol: `HTTP/${req.httpVersion}`,
      status,
      bodyBytes: bodyBytes(socket.bytesWritten - writtenBefore - head.length),
      durationUs: (system.now() - startedMs) * 1000,
      requestField: (name) => joinValues(req.headers[name]),
      responseField: (name) => findField(head, name),
    })
  })
}

/** Returns Content-Length if the response is complete and has one, else the bytes on the socket. */
function bodyBytes(res: ServerResponse, overSocket: number): number {
  const { _hasBody, _contentLength } = responseInternals(res)
  if (!_hasBody || overSocket <= 0) return 0
  return res.writableFinished ? (_contentLength ?? overSocket) : overSocket
}

function joinValues(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(', ') : value
}

function findField(header: string, name: string): string | undefined {
  const values = header
    .split('\r\n')
    .filter((line) => line.slice(0, name.length + 1).toLowerCase() === `${name}:`)
    .map((line) => line.slice(name.length + 1).trim())
  return values.length === 0 ? undefined : values.join(', ')
}
