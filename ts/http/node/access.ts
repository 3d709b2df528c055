/** The line of the access log for an exchange of the engine on node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeTunnel } from '../../engine/node-tunnel.ts'
import type { AccessLog } from '../../log/access.ts'
import { system } from '../../process/system.ts'
import { responseInternals } from './internals.ts'
import type { Mounted } from './mount.ts'

/** Logs the answer when it is over, whether it was sent whole or the client has gone. */
export function logAnswer(log: AccessLog, req: IncomingMessage, res: ServerResponse): void {
  const startedMs = system.now()
  const { socket, method = '' } = req
  const { originalUrl, url = '' } = req as Mounted
  const { remoteAddress } = socket
  const writtenBefore = socket.bytesWritten
  res.on('close', () => {
    const header = responseInternals(res)._header ?? ''
    log.log({
      remoteAddress,
      method,
      url: originalUrl ?? url,
      protocol: `HTTP/${req.httpVersion}`,
      status: res.statusCode,
      bodyBytes: bodyBytes(res, socket.bytesWritten - writtenBefore - header.length),
      durationUs: (system.now() - startedMs) * 1000,
      request: (name) => joined(req.headers[name]),
      response: (name) => fieldOf(header, name),
    })
  })
}

/** Logs a connection that the application has taken over, when it is over; one that it never answered leaves no line. */
export function logTunnel(log: AccessLog, req: IncomingMessage, tunnel: NodeTunnel): void {
  const startedMs = system.now()
  const { socket, method = '' } = req
  const { originalUrl, url = '' } = req as Mounted
  const { remoteAddress } = socket
  const writtenBefore = socket.bytesWritten
  socket.once('close', () => {
    const { status, head } = tunnel
    if (status === 0) return
    log.log({
      remoteAddress,
      method,
      url: originalUrl ?? url,
      protocol: `HTTP/${req.httpVersion}`,
      status,
      bodyBytes: Math.max(0, socket.bytesWritten - writtenBefore - head.length),
      durationUs: (system.now() - startedMs) * 1000,
      request: (name) => joined(req.headers[name]),
      response: (name) => fieldOf(head, name),
    })
  })
}

/** What the answer's length says; without one, what went over the socket. */
function bodyBytes(res: ServerResponse, overSocket: number): number {
  const { _hasBody, _contentLength } = responseInternals(res)
  if (!_hasBody || overSocket <= 0) return 0
  return res.writableFinished ? (_contentLength ?? overSocket) : overSocket
}

function joined(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(', ') : value
}

function fieldOf(header: string, name: string): string | undefined {
  const values = header
    .split('\r\n')
    .filter((line) => line.slice(0, name.length + 1).toLowerCase() === `${name}:`)
    .map((line) => line.slice(name.length + 1).trim())
  return values.length === 0 ? undefined : values.join(', ')
}
