/**
 * Where the frames of a WebSocket begin and end, in the bytes that an application sends (RFC 6455 section 5.2); the
 * native engine has the same in `crates/engine/src/server/connection/websocket.rs`.
 */

/** A close frame with the code 1012, "Service Restart": the client may come back at once. */
export const RESTART: Buffer = Buffer.from([0x88, 2, 0x03, 0xf4])

const CLOSE = 8
const MAX_HEAD = 14

export class Frames {
  /** The application has begun a close frame. */
  isClosed = false
  readonly #head = new Uint8Array(MAX_HEAD)
  /** Bytes of a frame's head that have come. */
  #have = 0
  /** Bytes of its payload that are still to come. */
  #payload = 0

  /** Whether the next byte begins a frame. */
  get atBoundary(): boolean {
    return this.#have === 0 && this.#payload === 0
  }

  /** Passes over bytes, only as far as the frame in hand goes if `toBoundary`. Returns how many. */
  advance(bytes: Uint8Array, toBoundary: boolean): number {
    let at = 0
    while (at < bytes.length && !(toBoundary && this.atBoundary)) {
      if (this.#payload > 0) {
        const count = Math.min(this.#payload, bytes.length - at)
        this.#payload -= count
        at += count
        continue
      }
      this.#head[this.#have++] = bytes[at++] ?? 0
      if (this.#have >= 2 && this.#have === this.#headLength()) this.#begin()
    }
    return at
  }

  #begin(): void {
    const [first = 0, second = 0] = this.#head
    if ((first & 0x0f) === CLOSE) this.isClosed = true
    const short = second & 0x7f
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0
    this.#payload = extended === 0 ? short : 0
    for (let i = 2; i < 2 + extended; i++)
      this.#payload = this.#payload * 256 + (this.#head[i] ?? 0)
    this.#have = 0
  }

  #headLength(): number {
    const second = this.#head[1] ?? 0
    const short = second & 0x7f
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
  }
}
