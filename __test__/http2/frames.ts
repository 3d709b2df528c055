/** An HTTP/2 client that sends exact frames (RFC 9113 section 4.1), without the checks of h2. */
import net from 'node:net'

import { until } from '../process/program.ts'

export const FRAME = {
  ...{ DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, GOAWAY: 7 },
} as const
export const ACK = 1
export const END_STREAM = 1
export const END_HEADERS = 4

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const FRAME_HEAD_BYTES = 9

export interface Frame {
  readonly type: number
  readonly streamId: number
  readonly payload: Buffer
}

/** The field block of a request for `/`, without Huffman coding (RFC 7541 section 6). */
export function requestFields(method: 'GET' | 'POST'): Buffer {
  const indexed = [method === 'GET' ? 0x82 : 0x83, 0x86, 0x84]
  return Buffer.concat([Buffer.from([...indexed, 0x41, 1]), Buffer.from('x')])
}

export class FrameClient {
  readonly #socket: net.Socket
  #received = Buffer.alloc(0)

  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1')
    this.#socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
    })
    // A test looks at the frames that arrived before.
    this.#socket.on('error', () => {})
    this.#socket.write(PREFACE)
    this.send(FRAME.SETTINGS)
  }

  send(type: number, streamId = 0, payload: Buffer = Buffer.alloc(0), flags = 0): this {
    const head = Buffer.alloc(FRAME_HEAD_BYTES)
    head.writeUIntBE(payload.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(streamId, 5)
    this.#socket.write(Buffer.concat([head, payload]))
    return this
  }

  /** Sends in one piece what `send` is called for, so that the server reads it at once. */
  sendTogether(sendAll: () => void): this {
    this.#socket.cork()
    sendAll()
    this.#socket.uncork()
    return this
  }

  /** Waits for a frame of a type on a stream. */
  frame(type: number, streamId = 0): Promise<Frame> {
    const find = () =>
      this.#frames().find((frame) => frame.type === type && frame.streamId === streamId)
    return until(find, `a frame of type ${type} on stream ${streamId}`)
  }

  close(): void {
    this.#socket.destroy()
  }

  #frames(): Frame[] {
    const frames: Frame[] = []
    let at = 0
    while (this.#received.length >= at + FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + this.#received.readUIntBE(at, 3)
      if (this.#received.length < end) break
      frames.push({
        type: this.#received.readUInt8(at + 3),
        streamId: this.#received.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: this.#received.subarray(at + FRAME_HEAD_BYTES, end),
      })
      at = end
    }
    return frames
  }
}
