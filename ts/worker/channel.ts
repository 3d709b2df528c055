/** A worker's end of the channel to its arbiter: lines of JSON on an inherited socket. */

import { Socket } from 'node:net'

import {
  type ArbiterMessage,
  CHANNEL_FD,
  createMessageDecoder,
  encodeMessage,
  type WorkerMessage,
} from '../messages.ts'

export interface Channel {
  send(message: WorkerMessage): void
  /** Sends the last message and calls back when it has gone, or nobody is there to take it. */
  sendLast(message: WorkerMessage, callback: () => void): void
  onMessage(callback: (message: ArbiterMessage) => void): void
  /** The arbiter's end is closed: it is dead. */
  onClose(callback: () => void): void
  /** From now on it does not keep the process. */
  unref(): void
}

/** Beats that an arbiter in trouble does not read are dropped rather than collected. */
const MAX_QUEUED_BYTES = 64 * 1024

/** Opens the channel that the arbiter left on descriptor 3. */
export function openChannel(): Channel {
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
  socket.setEncoding('utf8')
  // An arbiter that has gone is reported by 'close'.
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
