/**
 * What the engine has not taken yet of an answer: references to the application's own bytes and no copy, so that two
 * hundred slow readers of one large buffer cost that buffer once.
 */
import { countAbandoned, countHeld } from './gc-pressure.ts'
import { isResizable } from './ring.ts'

/** The engine hears of what is held for a stream when it is so much more or less. */
export const HELD_STEP = 65_536

/** The engine keeps memory for pieces of this size. */
export const LARGE_BYTES = 65_536

interface Part {
  readonly bytes: Uint8Array
  /** As it was given: memory that the program transfers has no bytes any more. */
  readonly length: number
  /** What it takes of memory for this answer alone. */
  readonly weight: number
}

export class UnsentQueue {
  #parts: Part[] = []
  /** The part at the front, and how much of it is gone. */
  #first = 0
  #taken = 0
  /** Bytes that are left. */
  length = 0
  /**
   * Bytes of the parts that no other answer has waited with: what the application keeps for all is not its clients'. A
   * part that is sent by half is whole in memory.
   */
  fresh = 0
  /** What follows all of it, to be lent to the engine. */
  last: Uint8Array | undefined
  /** The answer is complete behind these bytes. */
  ended = false
  trailers = ''

  get left(): number {
    return this.length + (this.last?.length ?? 0)
  }

  /** Adds bytes; whether they are there for this answer alone is found out if they are `counted`. */
  push(given: Uint8Array, counted = false): void {
    const bytes = isResizable(given) ? Buffer.from(given) : given
    const { length } = bytes
    const weight = counted && !SEEN.has(bytes.buffer) ? length : 0
    this.#parts.push({ bytes, length, weight })
    this.length += length
    if (weight === 0) return
    SEEN.add(bytes.buffer)
    this.fresh += weight
    countHeld(weight)
  }

  /** Nothing of it is wanted any more. */
  giveUp(): undefined {
    countAbandoned(this.fresh)
    this.fresh = 0
  }

  /** Takes the next piece out: at most `most` bytes, and never of two parts; an empty one where its memory is gone. */
  take(most: number): Uint8Array {
    const part = this.#parts[this.#first]
    if (part === undefined || part.bytes.length < part.length) return EMPTY
    const { bytes, length } = part
    const from = this.#taken
    const piece =
      from === 0 && length <= most ? bytes : bytes.subarray(from, Math.min(from + most, length))
    this.#taken = from + piece.length
    this.length -= piece.length
    if (this.#taken >= length) this.#pass(part)
    return piece
  }

  /** Lets go of the part at the front; the list is cut only now and then, since that copies it. */
  #pass({ weight }: Part): void {
    this.fresh -= weight
    countHeld(-weight)
    this.#parts[this.#first++] = PASSED
    this.#taken = 0
    if (this.#first < CUT_AT && this.#first < this.#parts.length) return
    this.#parts = this.#parts.slice(this.#first)
    this.#first = 0
  }
}

/** The memory of whatever has waited. */
const SEEN = new WeakSet<ArrayBufferLike>()

const EMPTY = new Uint8Array(0)
const PASSED: Part = { bytes: EMPTY, length: 0, weight: 0 }

/** Passed parts that the list holds at most. */
const CUT_AT = 1_024
