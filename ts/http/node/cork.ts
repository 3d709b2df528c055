/** Writes of a corked answer, which become one chunk. */
import { type Body, type Encoding, nodeMajor, type WriteCallback } from './internals.ts'

/** From Node 22 on that is so where the program corks, from Node 26 on with all of one tick. */
export const MERGES_CORKED_WRITES = nodeMajor >= 22
export const MERGES_WRITES_OF_A_TICK = nodeMajor >= 26

type CorkedWrite = readonly [data: Body, encoding: Encoding, callback: WriteCallback]

export class CorkedWrites {
  length = 0
  #writes: CorkedWrite[] = []

  add(...write: CorkedWrite): void {
    const [data, encoding] = write
    this.#writes.push(write)
    this.length +=
      typeof data === 'string' ? Buffer.byteLength(data, encoding ?? 'utf8') : data.length
  }

  /** All of it as one piece, of which nothing is left here. */
  takeMerged(): CorkedWrite[0] {
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

function bytesOf([data, encoding]: CorkedWrite): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : data
}
