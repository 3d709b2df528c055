/**
 * The part of a response that the engine has no room for. The queue refers to the application's own
 * bytes without a copy: two hundred slow readers of one large buffer cost that buffer once.
 */
import { countAbandoned, countHeld } from './gc-pressure.ts'
import { isResizable } from './ring.ts'

/** The engine is notified of what a stream buffers each time that changes by this many bytes. */
export const UNSENT_STEP = 65_536

/** The size of the buffers that the engine keeps for response chunks. */
export const ENGINE_CHUNK_BYTES = 65_536

interface QueuedChunk {
  readonly bytes: Uint8Array
  /** The length when it was queued: a buffer that the program transfers has none any more. */
  readonly length: number
  /** Number of bytes in memory for this response alone. */
  readonly ownBytes: number
}

/** A queue of response bytes. */
export class UnsentQueue {
  #chunks: QueuedChunk[] = []
  /** Index of the chunk at the front. */
  #first = 0
  /** Number of bytes of it that have been taken. */
  #taken = 0
  /** Number of bytes that are left. */
  length = 0
  /**
   * Number of bytes in chunks that no other response has queued: what an application shares between
   * responses is not caused by a client. A chunk counts as a whole until all of it is taken.
   */
  ownBytes = 0
  /** The last chunk of the response, which is borrowed by the engine. */
  last: Uint8Array | undefined
  /** Whether the response is complete after these bytes. */
  isEnded = false
  trailers = ''

  /** Number of bytes that are left, with the last chunk. */
  get left(): number {
    return this.length + (this.last?.length ?? 0)
  }

  /** Adds bytes. `isCounted` finds out whether they are in memory for this response alone. */
  push(given: Uint8Array, isCounted = false): void {
    const bytes = isResizable(given) ? Buffer.from(given) : given
    const { length } = bytes
    const ownBytes = isCounted && !QUEUED.has(bytes.buffer) ? length : 0
    this.#chunks.push({ bytes, length, ownBytes })
    this.length += length
    if (ownBytes === 0) return
    QUEUED.add(bytes.buffer)
    this.ownBytes += ownBytes
    countHeld(ownBytes)
  }

  /** Drops the queue: the response has been aborted. */
  drop(): undefined {
    countAbandoned(this.ownBytes)
    this.ownBytes = 0
  }

  /**
   * Takes the next bytes out: at most `max`, and never of two chunks. Returns no bytes where the
   * program has transferred the memory.
   */
  take(max: number): Uint8Array {
    const chunk = this.#chunks[this.#first]
    if (chunk === undefined || chunk.bytes.length < chunk.length) return EMPTY
    const { bytes, length } = chunk
    const from = this.#taken
    const taken =
      from === 0 && length <= max ? bytes : bytes.subarray(from, Math.min(from + max, length))
    this.#taken = from + taken.length
    this.length -= taken.length
    if (this.#taken >= length) this.#shift(chunk)
    return taken
  }

  /** Removes the chunk at the front. The array is only cut now and then, since that copies it. */
  #shift({ ownBytes }: QueuedChunk): void {
    this.ownBytes -= ownBytes
    countHeld(-ownBytes)
    this.#chunks[this.#first++] = REMOVED
    this.#taken = 0
    if (this.#first < CUT_AT && this.#first < this.#chunks.length) return
    this.#chunks = this.#chunks.slice(this.#first)
    this.#first = 0
  }
}

/** The memory of every chunk that has been queued. */
const QUEUED = new WeakSet<ArrayBufferLike>()

const EMPTY = new Uint8Array(0)
const REMOVED: QueuedChunk = { bytes: EMPTY, length: 0, ownBytes: 0 }

/** Maximum number of removed chunks at the front of the array. */
const CUT_AT = 1_024
