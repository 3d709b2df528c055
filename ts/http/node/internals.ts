/**
 * The parts of node's http and net that have no public name. Every cast to them is here, with what it relies on; all
 * hold on Node 20, 22, 24 and 26.
 */
import { EventEmitter } from 'node:events'
import http from 'node:http'
import net from 'node:net'

/** What a server reaches its descriptor through: node's `TCP` and `Pipe`, or a stand-in. */
export interface ServerHandle {
  listen(backlog: number): number
  close(callback?: () => void): void
  ref(): void
  unref(): void
  getsockname(out: { address?: string; family?: string; port?: number }): number
}

type SetupListen = (
  this: http.Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number | undefined,
  fd: number | undefined,
  flags: number | undefined,
) => void

/** `http.Server` with the fields that node's own code keeps on it. */
export interface ServerInternals {
  _handle: ServerHandle | null
  _connections: number
  _events: Record<string | symbol, unknown>
  _emitCloseIfDrained(): void
  _listen2: SetupListen
}

/** `net.Socket` with the fields that node's http code keeps on it. */
export interface SocketInternals {
  _httpMessage: (http.ServerResponse & ResponseInternals) | null
  _server: net.Server | null
  server: net.Server | null
}

/** `http.ServerResponse` with the fields that its methods share. */
export interface ResponseInternals {
  _header: string | null
  _last: boolean
  _contentLength: number | null
  _removedConnection: boolean
  _removedContLen: boolean
  _removedTE: boolean
  _writeRaw(data: string, encoding: BufferEncoding, callback?: () => void): boolean
}

export function serverInternals(server: net.Server): ServerInternals {
  return server as unknown as ServerInternals
}

export function responseInternals(response: http.ServerResponse): ResponseInternals {
  return response as unknown as ResponseInternals
}

export function socketInternals(socket: net.Socket): SocketInternals {
  return socket as unknown as SocketInternals
}

/** The symbols of an object, by their description: node keeps private fields under such. */
export function symbolOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description)
}

const sample = new http.Server()

/** Where a server keeps the constructors that `createServer` was given as options. */
export const kIncomingMessage = symbolOf(sample, 'IncomingMessage')
export const kServerResponse = symbolOf(sample, 'ServerResponse')

const kCapture = symbolOf(new EventEmitter(), 'kCapture')

/** Whether an emitter handles the rejections of its listeners itself (`captureRejections`). */
export function capturesRejections(emitter: EventEmitter): boolean {
  return (
    kCapture !== undefined && Boolean((emitter as unknown as Record<symbol, unknown>)[kCapture])
  )
}

/** `setupListenHandle`, which every way to listen calls as the property `_listen2`. */
export const setupListenHandle: SetupListen = serverInternals(
  net.Server.prototype as unknown as net.Server,
)._listen2

/** The `emit` that nobody has replaced yet. */
export const originalEmit = EventEmitter.prototype.emit

/** Binds and listens without accepting, as node:cluster does; a number is a negative errno. */
export function createServerHandle(
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd?: number,
): ServerHandle | number {
  const create = (net as unknown as { _createServerHandle: CreateServerHandle })._createServerHandle
  return create(address, port, addressType, fd, undefined)
}

type CreateServerHandle = (
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd: number | undefined,
  flags: number | undefined,
) => ServerHandle | number
