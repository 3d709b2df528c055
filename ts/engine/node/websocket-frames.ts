/**
 * Finds the frame boundaries in the WebSocket bytes that an application sends (RFC 6455 section
 * 5.2). The native engine has the same in `crates/engine/src/exchange/websocket.rs`.
 */

import { headerLength, payloadLength } from '../websocket-header.ts'

/** A close frame with the status code 1012, "Service Restart": the client may reconnect at once. */
export const RESTART_FRAME: Buffer = Buffer.from([0x88, 2, 0x03, 0xf4])

const CLOSE_OPCODE = 8
const MAX_HEAD_BYTES = 14

/** Follows the frames of one WebSocket in one direction. */
export class WebSocketFrames {
  /** The application has started to send a close frame. */
  hasCloseFrame = false
  readonly #head = new Uint8Array(MAX_HEAD_BYTES)
  /** Number of bytes in `#head` that have been read. */
  #headBytes = 0
  /** Bytes of the current frame's payload that have not been read yet. */
  #payloadBytesLeft = 0

  /** Whether the next byte starts a frame. */
  get isAtBoundary(): boolean {
    return this.#headBytes === 0 && this.#payloadBytesLeft === 0
  }

  /** Reads bytes, at most to the end of the current frame if `toBoundary`; returns how many. */
  skip(bytes: Uint8Array, toBoundary: boolean): number {
    let at = 0
    while (at < bytes.length && !(toBoundary && this.isAtBoundary)) {
      if (this.#payloadBytesLeft > 0) {
        const count = Math.min(this.#payloadBytesLeft, bytes.length - at)
        this.#payloadBytesLeft -= count
        at += count
        continue
      }
      this.#head[this.#headBytes++] = bytes[at++] ?? 0
      if (this.#headBytes >= 2 && this.#headBytes === headerLength(this.#head, 0))
        this.#startPayload()
    }
    return at
  }

  #startPayload(): void {
    const [first = 0] = this.#head
    if ((first & 0x0f) === CLOSE_OPCODE) this.hasCloseFrame = true
    this.#payloadBytesLeft = payloadLength(this.#head, 0)
    this.#headBytes = 0
  }
}
