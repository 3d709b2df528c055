/**
 * What the engine has not taken yet of an answer: references to the application's own bytes and no copy, so that two
 * hundred slow readers of one large buffer cost that buffer once.
 */
export class Backlog {
  #parts: Uint8Array[] = []
  /** The part at the front, and how much of it is gone. */
  #first = 0
  #taken = 0
  /** Bytes that are left. */
  length = 0
  /** The answer is complete behind these bytes. */
  ended = false
  trailers = ''

  push(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.length += bytes.length
  }

  /** Takes the next piece out: at most `most` bytes, and never of two parts. */
  take(most: number): Uint8Array {
    const part = this.#parts[this.#first]
    if (part === undefined) return EMPTY
    const from = this.#taken
    const piece =
      from === 0 && part.length <= most
        ? part
        : part.subarray(from, Math.min(from + most, part.length))
    this.#taken = from + piece.length
    this.length -= piece.length
    if (this.#taken >= part.length) this.#pass()
    return piece
  }

  /** Lets go of the part at the front; the list is cut only now and then, since that copies it. */
  #pass(): void {
    this.#parts[this.#first++] = EMPTY
    this.#taken = 0
    if (this.#first < CUT_AT && this.#first < this.#parts.length) return
    this.#parts = this.#parts.slice(this.#first)
    this.#first = 0
  }
}

const EMPTY = new Uint8Array(0)

/** Passed parts that the list holds at most. */
const CUT_AT = 1_024
