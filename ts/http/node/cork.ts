/** Writes of a corked answer, which become one chunk. */
import { type Body, type Encoding, nodeMajor, type WriteCallback } from './internals.ts'

/** From Node 22 on that is so where the program corks, from Node 26 on with all of one tick. */
export const CORKS_CHUNKS = nodeMajor >= 22
export const MERGES_TICKS = nodeMajor >= 26

type Write = readonly [data: Body, encoding: Encoding, callback: WriteCallback]

export class CorkedWrites {
  length = 0
  #writes: Write[] = []

  add(...write: Write): void {
    const [data, encoding] = write
    this.#writes.push(write)
    this.length +=
      typeof data === 'string' ? Buffer.byteLength(data, encoding ?? 'utf8') : data.length
  }

  /** All of it as one piece, of which nothing is left here. */
  take(): Write[0] {
    this.length = 0
    const writes = this.#writes
    this.#writes = []
    const [first] = writes
    if (writes.length === 1 && first !== undefined) return bytesOf(first)
    return Buffer.concat(writes.map(bytesOf))
  }

  callbacks(): WriteCallback[] {
    return this.#writes.map(([, , callback]) => callback)
  }
}

function bytesOf([data, encoding]: Write): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : data
}
