/**
 * Where the frames of a WebSocket begin and end, in the bytes that an application sends (RFC 6455 section 5.2); the
 * native engine has the same in `crates/engine/src/server/connection/websocket.rs`.
 */

/** A close frame with the code 1012, "Service Restart": the client may come back at once. */
export const RESTART_FRAME: Buffer = Buffer.from([0x88, 2, 0x03, 0xf4])

const CLOSE_OPCODE = 8
const MAX_HEAD_BYTES = 14

export class WebSocketFrames {
  /** The application has begun a close frame. */
  hasCloseFrame = false
  readonly #head = new Uint8Array(MAX_HEAD_BYTES)
  /** Bytes of a frame's head that have come. */
  #headBytes = 0
  /** Bytes of its payload that are still to come. */
  #payloadBytesLeft = 0

  /** Whether the next byte begins a frame. */
  get isAtBoundary(): boolean {
    return this.#headBytes === 0 && this.#payloadBytesLeft === 0
  }

  /** Passes over bytes, only as far as the frame in hand goes if `toBoundary`. Returns how many. */
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
      if (this.#headBytes >= 2 && this.#headBytes === this.#headLength()) this.#startPayload()
    }
    return at
  }

  #startPayload(): void {
    const [first = 0, second = 0] = this.#head
    if ((first & 0x0f) === CLOSE_OPCODE) this.hasCloseFrame = true
    const short = second & 0x7f
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0
    this.#payloadBytesLeft = extended === 0 ? short : 0
    for (let i = 2; i < 2 + extended; i++)
      this.#payloadBytesLeft = this.#payloadBytesLeft * 256 + (this.#head[i] ?? 0)
    this.#headBytes = 0
  }

  #headLength(): number {
    const second = this.#head[1] ?? 0
    const short = second & 0x7f
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
  }
}
