/**
 * Delays the end of a socket until the response that the application has ended is sent, as node
 * does: `socket.end()` after `res.end()` must not cut the response off.
 */

import { kEndedBeforeResponse, type ServerSocket } from './server-socket.ts'
import { releaseParser } from './shown-parser.ts'
import { kMessagePair } from './symbols.ts'

/**
 * Calls `end` when the response in flight has been sent or its connection has closed. Returns
 * false, and does not call it, if no complete response is in flight.
 */
export function deferUntilResponseSent(socket: ServerSocket, end: () => void): boolean {
  const isDeferred = hasEndedResponse(socket)
  if (isDeferred) socket._httpMessage?.once('close', end)
  return isDeferred
}

/**
 * Whether the application has ended the socket and its end is deferred until the response is sent.
 */
export function isEndDeferred(socket: ServerSocket): boolean {
  return hasEndedResponse(socket) && socket.writableEnded
}

/** Whether a response is in flight that the application has not ended. */
export function isResponseOpen({ _httpMessage, [kMessagePair]: pair }: ServerSocket): boolean {
  if (_httpMessage?.writableEnded !== false || pair === undefined) return false
  return Reflect.get(_httpMessage, kMessagePair) === pair
}

/**
 * Whether the response in flight is complete. One that the application has constructed itself does
 * not count.
 */
function hasEndedResponse(socket: ServerSocket): boolean {
  const { _httpMessage, [kMessagePair]: pair } = socket
  if (socket[kEndedBeforeResponse]) return false
  if (_httpMessage?.writableEnded !== true || pair === undefined) return false
  return Reflect.get(_httpMessage, kMessagePair) === pair
}

/** Emits 'close' on a socket that has been destroyed. */
export function emitClose(socket: ServerSocket, hadError: boolean): void {
  releaseParser(socket)
  socket.emit('close', hadError)
}
