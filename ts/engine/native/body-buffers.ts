/**
 * The pieces of bodies that come with a batch. Short ones cross many at a time, in memory of ours, and become Buffers
 * here: one that is made through Node-API costs twice as much. Each has memory of its own, which programs may transfer.
 */
import type { NativeEngine } from '../../native/index.ts'

/** Room for the pieces of one part of a batch, mostly; more come with the next call. */
const ROOM_BYTES = 65_536

const { allocUnsafeSlow } = Buffer

export class BodyBuffers {
  readonly #engine: NativeEngine
  readonly #room = Buffer.alloc(ROOM_BYTES)
  /** How many of those in the room have not been asked for, and where the next begins. */
  #left = 0
  #at = 0

  constructor(engine: NativeEngine) {
    this.#engine = engine
  }

  /** Another part of a batch has been taken: the engine begins with its first piece. */
  restart(): void {
    this.#left = 0
  }

  /** The next piece of the part that was taken last. */
  next(): Buffer {
    if (this.#left === 0) {
      const given = this.#engine.chunk(this.#room)
      if (typeof given !== 'number') return given
      this.#left = given
      this.#at = 0
    }
    const room = this.#room
    const start = this.#at + 2
    const length = (room[start - 2] as number) | ((room[start - 1] as number) << 8)
    const piece = allocUnsafeSlow(length)
    room.copy(piece, 0, start, start + length)
    this.#at = start + length
    this.#left--
    return piece
  }
}
