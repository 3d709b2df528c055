/** The writes of a corked response, which are sent as one chunk. */
import { type Body, type Encoding, nodeMajor, type WriteCallback } from './internals.ts'

/** From Node 22, the writes between `cork` and `uncork` make one chunk. */
export const MERGES_CORKED_WRITES = nodeMajor >= 22
/** From Node 26, all writes of a tick make one chunk. */
export const MERGES_WRITES_OF_A_TICK = nodeMajor >= 26

type CorkedWrite = readonly [data: Body, encoding: Encoding, callback: WriteCallback]

/** A queue of writes. */
export class CorkedWrites {
  /** The size of the queue, in bytes. */
  length = 0
  #writes: CorkedWrite[] = []

  add(...write: CorkedWrite): void {
    const [data, encoding] = write
    this.#writes.push(write)
    this.length +=
      typeof data === 'string' ? Buffer.byteLength(data, encoding ?? 'utf8') : data.length
  }

  /** Empties the queue and returns its bytes as one chunk. */
  takeMerged(): Body {
    this.length = 0
    const writes = this.#writes
    this.#writes = []
    const [first] = writes
    if (writes.length === 1 && first !== undefined) return bytesOf(first)
    return Buffer.concat(writes.map(bytesOf))
  }

  /** The callbacks of the queued writes, in order. */
  callbacks(): WriteCallback[] {
    return this.#writes.map(([, , callback]) => callback)
  }
}

function bytesOf([data, encoding]: CorkedWrite): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : data
}
