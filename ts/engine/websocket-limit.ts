/**
 * The setting `websocket_max_message_size`, on both engines: follows the frames that the client of
 * one WebSocket sends (RFC 6455 section 5.2), and stops at a message that is too large. Then the
 * application reads a close frame with the code 1009, as if the client had sent it. Its library
 * answers with the same code, between two of its own frames, and closes the connection.
 */

import { headerLength, payloadLength } from './websocket-header.ts'

/** Time that the application and the client have to close the connection. */
const CLOSE_TIMEOUT_MS = 5_000

/** A close frame of a client with the code 1009, "Message Too Big", and a mask of zeros. */
const CLOSE_FRAME = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf1])

const NOTHING = Buffer.alloc(0)
/** Opcodes from here on are those of control frames, which may be between fragments. */
const FIRST_CONTROL_OPCODE = 8

/** A socket whose connection the application has taken over. */
interface LimitedSocket {
  destroy(): void
  once(event: 'close', listener: () => void): void
}

/** Limits the messages of one client. */
export class WebSocketLimit {
  readonly #socket: LimitedSocket
  readonly #maxBytes: number
  /** Size of the current message, as far as the headers of its frames have arrived. */
  #messageBytes = 0
  /** Bytes of the current frame's payload that have not arrived yet. */
  #payloadBytesLeft = 0
  /** The first bytes of a frame header that has not arrived completely. */
  #partialHeader = NOTHING
  #isExceeded = false

  constructor(socket: LimitedSocket, maxBytes: number) {
    this.#socket = socket
    this.#maxBytes = maxBytes
  }

  /**
   * Returns what the application may read of bytes that have arrived. The first bytes of a frame
   * header are kept until the header is complete.
   */
  filter(chunk: Buffer): Buffer {
    if (this.#isExceeded) return NOTHING
    const hasPartial = this.#partialHeader.length > 0
    const bytes = hasPartial ? Buffer.concat([this.#partialHeader, chunk]) : chunk
    this.#partialHeader = NOTHING
    let at = 0
    for (;;) {
      const count = Math.min(this.#payloadBytesLeft, bytes.length - at)
      this.#payloadBytesLeft -= count
      at += count
      if (at === bytes.length) return bytes
      const length = headerLength(bytes, at)
      if (bytes.length - at < length) {
        // A copy: the engine may reuse the memory of the chunk.
        this.#partialHeader = Buffer.from(bytes.subarray(at))
        return bytes.subarray(0, at)
      }
      if (this.#startFrame(bytes, at)) return Buffer.concat([bytes.subarray(0, at), CLOSE_FRAME])
      at += length
    }
  }

  /** Reads a complete header. Returns whether its message exceeds the limit. */
  #startFrame(bytes: Buffer, at: number): boolean {
    const opcode = (bytes[at] ?? 0) & 0x0f
    this.#payloadBytesLeft = payloadLength(bytes, at)
    if (opcode >= FIRST_CONTROL_OPCODE) return false
    const earlierBytes = opcode === 0 ? this.#messageBytes : 0
    this.#messageBytes = earlierBytes + this.#payloadBytesLeft
    if (this.#messageBytes <= this.#maxBytes) return false
    this.#isExceeded = true
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS)
    this.#socket.once('close', () => clearTimeout(timer))
    return true
  }
}

/** Returns a limit for a connection that was taken over, unless it carries another protocol. */
export function limitWebSocket(
  socket: LimitedSocket,
  upgrade: string | undefined,
  maxBytes: number,
): WebSocketLimit | undefined {
  const isLimited = maxBytes > 0 && upgrade?.toLowerCase() === 'websocket'
  return isLimited ? new WebSocketLimit(socket, maxBytes) : undefined
}
