/** The body of a request in fetch style: whole where somebody wants it whole, a stream with backpressure else. */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyDiscarded } from '../node/errors.ts'

type PendingRead = { resolve: (bytes: Uint8Array) => void; reject: (reason: unknown) => void }

export class RequestBody {
  isUsed = false
  readonly #exchange: Exchange
  readonly #chunks: Uint8Array[] = []
  #unconsumedBytes = 0
  #hasEnded: boolean
  /** Somebody has begun to read: the engine waits for us to take all of it, also behind the answer. */
  #isRead = false
  #isCancelled = false
  #failure: unknown
  #hasFailed = false
  #pendingRead: PendingRead | undefined
  #controller: ReadableByteStreamController | undefined
  /** The stream in the job that has made it, before it asks for anything. */
  #newStream: ReadableStream<Uint8Array> | undefined

  constructor(exchange: Exchange) {
    this.#exchange = exchange
    this.#hasEnded = exchange.bodyKind !== 2
    if (exchange.body !== undefined) this.#chunks.push(exchange.body)
  }

  /** All of it, once. */
  bytes(): Promise<Uint8Array> {
    this.#markUsed()
    if (this.#hasFailed) return Promise.reject(this.#failure)
    if (this.#hasEnded) return Promise.resolve(this.#joinChunks())
    this.#consume()
    return new Promise((resolve, reject) => {
      this.#pendingRead = { resolve, reject }
    })
  }

  /** A stream that asks the client for no more than its reader takes. */
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

  /** The answer is about to be complete. Whoever has a reader of a new stream counts as reading. */
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
      // Nobody but the whole's reader is known to want more.
      if (this.#pendingRead !== undefined) this.#consume()
    }
  }

  onEnd(): void {
    // Not all of it has come here.
    if (this.#isDiscarded) return this.fail(bodyDiscarded())
    this.#hasEnded = true
    closeStream(this.#controller)
    this.#controller = undefined
    this.#pendingRead?.resolve(this.#joinChunks())
    this.#pendingRead = undefined
  }

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

  /** What nobody has begun to read is thrown away with the end of the answer. */
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

  #consume(): void {
    // What was not here by then has gone, and what the reader has would look whole.
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

/** A byte stream takes the buffer of what it is given for itself; ours may be part of a pool. */
function copyChunk(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(chunk)
}

function closeStream(controller: ReadableByteStreamController | undefined): void {
  if (controller === undefined) return
  controller.close()
  // A reader that brought its own buffer waits for it to come back empty.
  controller.byobRequest?.respond(0)
}
