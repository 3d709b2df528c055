/** A program that ends the socket of a request behind its answer: as on node, what has been written goes out first. */

import type { ServerSocket } from './socket.ts'
import { kMessagePair } from './symbols.ts'

/** Whether the answer in hand is complete and still on its way: then `end` runs when it has gone, or its client has. */
export function deferUntilResponseSent(socket: ServerSocket, end: () => void): boolean {
  const isOnItsWay = hasEndedResponse(socket)
  if (isOnItsWay) socket._httpMessage?.once('close', end)
  return isOnItsWay
}

/** The program has ended the socket, which waits for the answer in hand. */
export function isEndDeferred(socket: ServerSocket): boolean {
  return hasEndedResponse(socket) && socket.writableEnded
}

/** A response that the program has made itself and put on the socket is none of an exchange. */
function hasEndedResponse({ _httpMessage, [kMessagePair]: pair }: ServerSocket): boolean {
  if (_httpMessage?.writableEnded !== true || pair === undefined) return false
  return Reflect.get(_httpMessage, kMessagePair) === pair
}
