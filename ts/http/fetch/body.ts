/** The body of a `Request`: a promise of all its bytes, or a stream with backpressure. */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyDiscarded } from '../node/errors.ts'

type PendingRead = { resolve: (bytes: Uint8Array) => void; reject: (reason: unknown) => void }

/** Reads the body of an exchange. It asks the client only for what the application takes. */
export class RequestBody {
  /** The application has asked for the bytes or the stream. */
  isUsed = false
  readonly #exchange: Exchange
  readonly #chunks: Uint8Array[] = []
  /** Bytes that have arrived and whose credit has not been returned to the engine. */
  #unconsumedBytes = 0
  #hasEnded: boolean
  /** Reading has begun. The engine then keeps the body for us, even after the response. */
  #isRead = false
  #isCancelled = false
  #failure: unknown
  #hasFailed = false
  #pendingRead: PendingRead | undefined
  #controller: ReadableByteStreamController | undefined
  /** A stream created in the current job, which has not asked for data yet. */
  #newStream: ReadableStream<Uint8Array> | undefined

  constructor(exchange: Exchange) {
    this.#exchange = exchange
    this.#hasEnded = exchange.bodyKind !== 2
    if (exchange.body !== undefined) this.#chunks.push(exchange.body)
  }

  /** Resolves to the whole body. Called once. */
  bytes(): Promise<Uint8Array> {
    this.#markUsed()
    if (this.#hasFailed) return Promise.reject(this.#failure)
    if (this.#hasEnded) return Promise.resolve(this.#joinChunks())
    this.#consume()
    return new Promise((resolve, reject) => {
      this.#pendingRead = { resolve, reject }
    })
  }

  /** Returns a stream that asks the client for no more than its reader takes. */
  stream(): ReadableStream<Uint8Array> {
    this.#markUsed()
    const source = {
      type: 'bytes' as const,
      start: (controller: ReadableByteStreamController) => this.#start(controller),
      pull: () => this.#consume(),
      cancel: () => {
        this.#controller = undefined
        this.#isCancelled = true
        if (this.#isRead) this.#consume()
      },
    }
    const stream: ReadableStream<Uint8Array> = new ReadableStream(source, { highWaterMark: 0 })
    this.#newStream = stream
    queueMicrotask(() => {
      this.#newStream = undefined
    })
    return stream
  }

  /**
   * Called before the response is sent. A stream that is new, but has a reader, counts as being
   * read.
   */
  noteResponse(): void {
    if (this.#newStream?.locked === true) this.#consume()
  }

  onData(chunk: Uint8Array): void {
    this.#unconsumedBytes += chunk.length
    if (this.#isCancelled) {
      if (this.#isRead) this.#consume()
    } else if (this.#controller !== undefined) {
      this.#controller.enqueue(copyChunk(chunk))
    } else {
      this.#chunks.push(chunk)
      // Without a stream, only a pending `bytes()` wants more.
      if (this.#pendingRead !== undefined) this.#consume()
    }
  }

  onEnd(): void {
    // The engine has discarded a part of the body.
    if (this.#isDiscarded) return this.fail(bodyDiscarded())
    this.#hasEnded = true
    closeStream(this.#controller)
    this.#controller = undefined
    this.#pendingRead?.resolve(this.#joinChunks())
    this.#pendingRead = undefined
  }

  /** Fails pending and later reads. */
  fail(reason: unknown): void {
    if (this.#hasEnded) return
    this.#hasFailed = true
    this.#failure = reason
    this.#controller?.error(reason)
    this.#controller = undefined
    this.#pendingRead?.reject(reason)
    this.#pendingRead = undefined
  }

  #markUsed(): void {
    this.isUsed = true
    if (this.#isDiscarded) this.fail(bodyDiscarded())
  }

  /**
   * Whether the engine has discarded the body: it does so at the end of the response, unless
   * reading has begun.
   */
  get #isDiscarded(): boolean {
    return this.#exchange.ended && !this.#isRead
  }

  #start(controller: ReadableByteStreamController): void {
    if (this.#hasFailed) {
      controller.error(this.#failure)
      return
    }
    for (const chunk of this.#chunks.splice(0)) {
      if (chunk.length > 0) controller.enqueue(copyChunk(chunk))
    }
    if (this.#hasEnded) closeStream(controller)
    else this.#controller = controller
  }

  /** Returns the credit of the bytes that have arrived, so that the engine reads on. */
  #consume(): void {
    // The rest of the body is lost. Without an error the part that has arrived would look like the
    // whole.
    if (this.#isDiscarded) return this.fail(bodyDiscarded())
    const held = this.#unconsumedBytes
    this.#unconsumedBytes = 0
    if (held > 0 || !this.#isRead) this.#exchange.consume(held)
    this.#isRead = true
  }

  #joinChunks(): Uint8Array {
    const [only] = this.#chunks
    return this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks)
  }
}

/**
 * Copies a chunk, since a byte stream transfers the buffer of a chunk, and ours may belong to a
 * pool.
 */
function copyChunk(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(chunk)
}

function closeStream(controller: ReadableByteStreamController | undefined): void {
  if (controller === undefined) return
  controller.close()
  // A reader with its own buffer waits until the buffer is returned empty.
  controller.byobRequest?.respond(0)
}
