/** The body of a request in fetch style: whole where somebody wants it whole, a stream with backpressure else. */
import type { Exchange } from '../../engine/exchange.ts'
import { bodyDiscarded } from '../node/errors.ts'

type Waiting = { resolve: (bytes: Uint8Array) => void; reject: (reason: unknown) => void }

export class RequestBody {
  used = false
  readonly #exchange: Exchange
  readonly #chunks: Uint8Array[] = []
  #held = 0
  #ended: boolean
  /** Somebody has begun to read: the engine waits for us to take all of it, also behind the answer. */
  #isRead = false
  #cancelled = false
  #failure: unknown
  #failed = false
  #whole: Waiting | undefined
  #controller: ReadableByteStreamController | undefined
  /** The stream in the job that has made it, before it asks for anything. */
  #newStream: ReadableStream<Uint8Array> | undefined

  constructor(exchange: Exchange) {
    this.#exchange = exchange
    this.#ended = exchange.bodyKind !== 2
    if (exchange.body !== undefined) this.#chunks.push(exchange.body)
  }

  /** All of it, once. */
  bytes(): Promise<Uint8Array> {
    this.#use()
    if (this.#failed) return Promise.reject(this.#failure)
    if (this.#ended) return Promise.resolve(this.#join())
    this.#giveBack()
    return new Promise((resolve, reject) => {
      this.#whole = { resolve, reject }
    })
  }

  /** A stream that asks the client for no more than its reader takes. */
  stream(): ReadableStream<Uint8Array> {
    this.#use()
    const source = {
      type: 'bytes' as const,
      start: (controller: ReadableByteStreamController) => this.#start(controller),
      pull: () => this.#giveBack(),
      cancel: () => {
        this.#controller = undefined
        this.#cancelled = true
        if (this.#isRead) this.#giveBack()
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
  answering(): void {
    if (this.#newStream?.locked === true) this.#giveBack()
  }

  onData(chunk: Uint8Array): void {
    this.#held += chunk.length
    if (this.#cancelled) {
      if (this.#isRead) this.#giveBack()
    } else if (this.#controller !== undefined) {
      this.#controller.enqueue(copied(chunk))
    } else {
      this.#chunks.push(chunk)
      // Nobody but the whole's reader is known to want more.
      if (this.#whole !== undefined) this.#giveBack()
    }
  }

  onEnd(): void {
    // Not all of it has come here.
    if (this.#isDiscarded) return this.fail(bodyDiscarded())
    this.#ended = true
    closeStream(this.#controller)
    this.#controller = undefined
    this.#whole?.resolve(this.#join())
    this.#whole = undefined
  }

  fail(reason: unknown): void {
    if (this.#ended) return
    this.#failed = true
    this.#failure = reason
    this.#controller?.error(reason)
    this.#controller = undefined
    this.#whole?.reject(reason)
    this.#whole = undefined
  }

  #use(): void {
    this.used = true
    if (this.#isDiscarded) this.fail(bodyDiscarded())
  }

  /** What nobody has begun to read is thrown away with the end of the answer. */
  get #isDiscarded(): boolean {
    return this.#exchange.ended && !this.#isRead
  }

  #start(controller: ReadableByteStreamController): void {
    if (this.#failed) {
      controller.error(this.#failure)
      return
    }
    for (const chunk of this.#chunks.splice(0)) {
      if (chunk.length > 0) controller.enqueue(copied(chunk))
    }
    if (this.#ended) closeStream(controller)
    else this.#controller = controller
  }

  #giveBack(): void {
    // What was not here by then has gone, and what the reader has would look whole.
    if (this.#isDiscarded) return this.fail(bodyDiscarded())
    const held = this.#held
    this.#held = 0
    if (held > 0 || !this.#isRead) this.#exchange.consume(held)
    this.#isRead = true
  }

  #join(): Uint8Array {
    const [only] = this.#chunks
    return this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks)
  }
}

/** A byte stream takes the buffer of what it is given for itself; ours may be part of a pool. */
function copied(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(chunk)
}

function closeStream(controller: ReadableByteStreamController | undefined): void {
  if (controller === undefined) return
  controller.close()
  // A reader that brought its own buffer waits for it to come back empty.
  controller.byobRequest?.respond(0)
}
