/**
 * The object that `socket.parser` shows. The engine parses, so it parses nothing: it has the fields
 * and methods of node's `HTTPParser` that programs look at. It is created when it is first read.
 */
import type { NodeRequest } from './internals.ts'
import type { DefineAccessor } from './lazy-stream.ts'
import { kParser, kUnendedRequest, type ServerSocket } from './server-socket.ts'
import { kConnection, kMessagePair, kTunnel } from './symbols.ts'

type Callback = (() => void) | null

/** The numbers of the callbacks of `HTTPParser`: headers to message complete, execute, timeout. */
const PERMANENT_CALLBACKS = [1, 2, 3, 4]
const SERVER_CALLBACKS = [5, 6]

export class ShownParser {
  [callback: number]: Callback
  socket: ServerSocket | null
  outgoing: null = null
  onIncoming: Callback = ignore
  maxHeaderPairs = 2_000
  joinDuplicateHeaders: boolean | null = null

  constructor(socket: ServerSocket) {
    this.socket = socket
    for (const number of [...PERMANENT_CALLBACKS, ...SERVER_CALLBACKS]) this[number] = ignore
  }

  /** The request in flight, or the last one if its response is complete and its body is not. */
  get incoming(): NodeRequest | null {
    return this.socket?.[kMessagePair]?.req ?? this.socket?.[kUnendedRequest] ?? null
  }

  /** Clears the fields that node clears when it frees the parser of a closed socket. */
  release(): void {
    this.socket = null
    this.onIncoming = null
    for (const number of SERVER_CALLBACKS) this[number] = null
    this.free()
  }

  // A program may replace these methods, as it could those of node's parser.
  free(): void {}
  close(): void {}
  remove(): void {}
  finish(): void {}
  pause(): void {}
  resume(): void {}
  consume(): void {}
  unconsume(): void {}
}

function ignore(): void {}

/** Defines `parser` on the prototype of the sockets. As in node, it is null after an upgrade. */
export function defineParser(defineAccessor: DefineAccessor<ServerSocket>): void {
  defineAccessor(
    'parser',
    function parser() {
      if (this[kConnection] === undefined || this[kTunnel] !== undefined) return null
      if (this.destroyed && this[kParser] === undefined) return null
      this[kParser] ??= new ShownParser(this)
      return this[kParser]
    },
    // A socket that is given to the server again gets node's own parser.
    function setParser(value) {
      const own = { value, writable: true, enumerable: true, configurable: true }
      Object.defineProperty(this, 'parser', own)
    },
  )
}

/**
 * Shows a request as `parser.incoming` until it emits 'end', as node does after the response. The
 * program may look at the parser for the first time in a listener of 'end'.
 */
export function showUntilEnd(request: NodeRequest, socket: ServerSocket): void {
  socket[kUnendedRequest] = request
  request.on('end', hideRequest)
}

function hideRequest(this: NodeRequest): void {
  const socket = this.socket as ServerSocket
  if (socket[kUnendedRequest] === this) socket[kUnendedRequest] = undefined
}

/** Frees the parser of a socket that is about to emit 'close', if the program has looked at it. */
export function releaseParser(socket: ServerSocket): void {
  const parser = socket[kParser]
  if (parser === undefined) return
  parser.release()
  Object.assign(socket, { parser: null })
}
