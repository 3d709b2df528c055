/**
 * The body chunks of a batch. Short chunks are passed many at a time, in memory of JavaScript, and
 * become Buffers here: a Buffer that is made through Node-API costs twice as much. Each Buffer has
 * memory of its own, because applications may transfer it.
 */
import type { NativeEngine } from '../../native/index.ts'
import { CHUNK_LENGTH_BYTES } from './wire.ts'

/**
 * Size of the memory for short chunks. It holds the chunks of most parts of a batch; another call
 * brings the rest.
 */
const ROOM_BYTES = 65_536

const { allocUnsafeSlow } = Buffer

/** Hands out the chunks that the records of a batch refer to, in order. */
export class BodyBuffers {
  readonly #engine: NativeEngine
  readonly #room = Buffer.alloc(ROOM_BYTES)
  /** Number of chunks in the room that have not been handed out. */
  #left = 0
  /** Where the next of them begins. */
  #at = 0

  constructor(engine: NativeEngine) {
    this.#engine = engine
  }

  /** Starts with the first chunk of the part that has just been taken from the engine. */
  restart(): void {
    this.#left = 0
  }

  /** Returns the next chunk of the part that was taken last. */
  next(): Buffer {
    if (this.#left === 0) {
      const given = this.#engine.chunk(this.#room)
      if (typeof given !== 'number') return given
      this.#left = given
      this.#at = 0
    }
    const room = this.#room
    const start = this.#at + CHUNK_LENGTH_BYTES
    const length = (room[start - 2] as number) | ((room[start - 1] as number) << 8)
    const chunk = allocUnsafeSlow(length)
    room.copy(chunk, 0, start, start + length)
    this.#at = start + length
    this.#left--
    return chunk
  }
}
