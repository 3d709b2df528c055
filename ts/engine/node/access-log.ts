/** The lines of the access log for the engine on node:http: of answers, and of connections that were taken over. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { responseInternals } from '../../http/node/internals.ts'
import type { MountedRequest } from '../../http/node/root-path.ts'
import type { AccessLog } from '../../log/access.ts'
import { system } from '../../process/system.ts'
import type { NodeTunnel } from './tunnel.ts'

/** What there is to say when it is over. */
interface LoggedResponse {
  /** 0 where nothing was answered, which leaves no line. */
  readonly status: number
  /** As it was written. */
  readonly head: string
  /** `overSocket` is what has gone over the socket behind the head. */
  countBodyBytes(overSocket: number): number
}

/** Logs the answer when it is over, whether it was sent whole or the client has gone. */
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

/** Logs a connection that the application has taken over, when it is over. */
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
  const { originalUrl, url = '' } = req as MountedRequest
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

/** What the answer's length says; without one, what went over the socket. */
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
