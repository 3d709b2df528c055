/** A worker's end of the channel to its arbiter: lines of JSON on an inherited socket. */

import { Socket } from 'node:net'

import {
  type ArbiterMessage,
  CHANNEL_FD,
  createMessageDecoder,
  encodeMessage,
  type WorkerMessage,
} from '../messages.ts'

/** The worker's end of the socket pair to the arbiter. */
export interface Channel {
  send(message: WorkerMessage): void
  /** Sends a last message; calls back when the message is written or cannot be written. */
  sendLast(message: WorkerMessage, callback: () => void): void
  onMessage(callback: (message: ArbiterMessage) => void): void
  /**
   * Calls back when the arbiter's end is closed, which means that the arbiter is dead. May call
   * back twice.
   */
  onClose(callback: () => void): void
  /** Lets the process exit although the channel is open (`unref` of a Node.js socket). */
  unref(): void
}

/**
 * Messages are dropped while more than this is unsent: an arbiter that does not read must not fill
 * our memory.
 */
const MAX_QUEUED_BYTES = 64 * 1024

/** Opens the channel on the descriptor that the worker inherits from the arbiter (`CHANNEL_FD`). */
export function openChannel(): Channel {
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
  socket.setEncoding('utf8')
  // Silent: 'close' follows every error and reports the arbiter's death.
  socket.on('error', () => {})
  return {
    send(message) {
      if (socket.writableLength < MAX_QUEUED_BYTES) socket.write(encodeMessage(message))
    },
    sendLast: (message, callback) => void socket.write(encodeMessage(message), () => callback()),
    onMessage: (callback) => void socket.on('data', createMessageDecoder<ArbiterMessage>(callback)),
    onClose(callback) {
      socket.on('end', callback)
      socket.on('close', callback)
    },
    unref: () => void socket.unref(),
  }
}
