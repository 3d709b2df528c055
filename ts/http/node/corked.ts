/**
 * Writes of a corked answer, which become one chunk: from Node 22 on where the program corks, from Node 26 on all of one
 * tick.
 */
import type { Body, Encoding, WriteCallback } from './internals.ts'

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
