/** Exchanges of the native engine: responses are written as records into the ring. */
import { AsyncResource } from 'node:async_hooks'
import {
  DISCARDS,
  type Exchange,
  type ExchangeOwner,
  type Fields,
  LENGTH,
  NO_BODY,
} from '../exchange.ts'
import type { NativeConnection } from './connection.ts'
import { DeferredEnd } from './deferred-end.ts'
import { RequestView } from './request-view.ts'
import { assertFits, canBorrow, fitsHead, fitsRing, type Ring } from './ring.ts'
import { NativeTunnel } from './tunnel.ts'
import { ENGINE_CHUNK_BYTES, UNSENT_STEP, UnsentQueue } from './unsent.ts'
import { BODY_KIND, RING_FLAG, RING_RECORD, RING_RECORD_BYTES, SLOT_MASK } from './wire.ts'

/**
 * Response bytes buffered ahead of the client for an HTTP/2 stream: one connection has many
 * streams.
 */
const STREAM_BUFFER_BYTES = 65_536

/** What the chunked coding adds to a short chunk: its size in two digits, and two line ends. */
const CHUNK_FRAMING_BYTES = 6

/** What the exchanges of an engine share. */
export interface ExchangeLink {
  readonly ring: Ring
  /** Exchanges for which events may still arrive, by slot. */
  readonly live: (NativeExchange | NativeTunnel | undefined)[]
}

/** A request, and the writer of its response. */
export class NativeExchange extends RequestView implements Exchange {
  owner: ExchangeOwner | undefined = undefined
  ended = false
  /** Whether more of the request body may arrive. */
  isBodyOpen: boolean
  readonly #link: ExchangeLink
  readonly #ring: Ring
  /** Number of bytes that have been passed to the engine and are not known to be sent. */
  #passed = 0
  /** The part of `#passed` that the pending NOTIFY record is about; 0 without one. */
  #notified = 0
  /** What the engine has no room for. */
  #unsent: UnsentQueue | undefined = undefined
  /** The size of `#unsent` that the engine knows. */
  #reportedUnsent = 0
  #isBodyRead = false
  #deferredEnd: DeferredEnd | undefined = undefined
  /** Whether it has been reset, or the client has disconnected. */
  #isAborted = false
  /**
   * Whether the end of the response is borrowed memory: the exchange ends when that has been sent.
   */
  #endIsBorrowed = false
  /** The async context of the application for `onDrain`. Only a response that waits needs one. */
  #scope: AsyncResource | undefined = undefined

  // Positional, so that no request costs an object for its arguments.
  constructor(
    link: ExchangeLink,
    connection: NativeConnection,
    id: number,
    text: string,
    at: number,
    body: Buffer | undefined,
  ) {
    super(connection, id, text, at, body)
    this.isBodyOpen = this.bodyKind === BODY_KIND.STREAMED
    this.#link = link
    this.#ring = link.ring
  }

  get unsentBytes(): number {
    return this.#notified === 0 ? 0 : this.#passed + this.queuedBytes
  }

  get queuedBytes(): number {
    return this.#unsent?.left ?? 0
  }

  get isFull(): boolean {
    return this.#notified > 0 || this.#deferredEnd?.isPending === true
  }

  consume(bytes: number): void {
    this.#isBodyRead = true
    if (this.isBodyOpen) this.#ring.writeCommand(RING_RECORD.CREDIT, this.id, 0, bytes)
  }

  sendInterim(status: number, reason: string | undefined, fields: string): void {
    this.#ring.head.bodyLength = 0
    this.#writeHead(RING_RECORD.INTERIM, status, reason, fields, 0)
  }

  respond(
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    encoding: BufferEncoding,
  ): void {
    this.ended = true
    if (this.#isAborted) return
    const isLatin1 = encoding === 'latin1'
    const isPlain = isLatin1 || encoding === 'utf8' || typeof body !== 'string'
    if (isPlain && !this.isBodyOpen && (body === undefined || fitsRing(body))) {
      const { head } = this.#ring
      const isDropped = (flags & NO_BODY) !== 0 && (flags & LENGTH) === 0
      head.body = isDropped ? undefined : body
      head.isLatin1 = isLatin1
      head.bodyLength = 0
      this.#writeHead(RING_RECORD.RESPOND, status, reason, fields, flags)
      this.#release()
      return
    }
    let bytes = typeof body === 'string' ? Buffer.from(body, encoding) : body
    // After this turn the application may have changed its memory, or transferred it.
    if (bytes !== undefined && bytes === body && this.#mustDefer) bytes = Buffer.from(bytes)
    const send = () => {
      // The whole response is known before the body has a reader. Whether the connection can be
      // kept depends on the size of the rest of the body, and the head has to state it.
      const allFlags = this.#isBodyRead ? flags : flags | DISCARDS
      this.#ring.head.bodyLength = bytes?.length ?? 0
      this.#writeHead(RING_RECORD.HEAD, status, reason, fields, allFlags)
      this.#writeEnd((flags & NO_BODY) === 0 ? bytes : undefined)
    }
    // Fields that do not fit throw now: after this turn no caller could catch the error.
    return fitsHead(reason, fields) ? this.#sendOrDefer(send) : send()
  }

  head(status: number, reason: string | undefined, fields: Fields, flags: number): void {
    if (this.#isAborted) return
    this.#ring.head.bodyLength = 0
    this.#writeHead(RING_RECORD.HEAD, status, reason, fields, flags)
  }

  /**
   * Writes a head. Fields that never fit throw, and abort the client, which would wait for the
   * response.
   */
  #writeHead(
    kind: number,
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
  ): void {
    const { head } = this.#ring
    head.kind = kind
    head.id = this.id
    head.status = status
    head.reason = reason
    head.fields = fields
    head.flags = flags
    try {
      this.#ring.writeHead()
    } catch (error) {
      this.reset()
      throw error
    }
  }

  write(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): boolean {
    if (this.#isAborted) return true
    const isPlain = typeof chunk !== 'string' || encoding === 'utf8' || encoding === 'latin1'
    if (this.#unsent === undefined && isPlain && fitsRing(chunk)) {
      const isLatin1 = encoding === 'latin1'
      const length = this.#ring.writeData(RING_RECORD.DATA, this.id, chunk, isLatin1)
      this.#passed += length + CHUNK_FRAMING_BYTES
    } else {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      this.#unsent ??= new UnsentQueue()
      this.#unsent.push(bytes, this.connection.isStream)
      this.#passQueue(this.#unsent)
      this.#reportUnsent()
    }
    if (this.#passed < this.#bufferBytes) return true
    this.#requestNotification()
    return false
  }

  trailers(fields: string): void {
    try {
      assertFits(RING_RECORD_BYTES + fields.length + (this.#unsent?.trailers.length ?? 0))
    } catch (error) {
      this.reset()
      throw error
    }
    if (this.#unsent !== undefined) this.#unsent.trailers += fields
    else this.#ring.writeData(RING_RECORD.TRAILERS, this.id, fields, true)
  }

  end(chunk?: string | Uint8Array, encoding: BufferEncoding = 'utf8'): void {
    if (this.ended) return
    this.ended = true
    this.#writeEnd(chunk, encoding)
  }

  #writeEnd(chunk?: string | Uint8Array, encoding: BufferEncoding = 'utf8'): void {
    if (chunk !== undefined && chunk.length > 0) this.#writeLast(chunk, encoding)
    if (this.#unsent === undefined) this.#complete()
    else this.#unsent.isEnded = true
  }

  /**
   * Writes the last chunk. A large one is borrowed, and so needs no room in the engine. With TLS
   * only text is borrowed: if a program transfers and drops a buffer meanwhile, the kernel reports
   * an error, but encrypting the memory would crash the process.
   */
  #writeLast(chunk: string | Uint8Array, encoding: BufferEncoding): void {
    const { secure, isStream } = this.connection
    const mayVanish = secure !== undefined && typeof chunk !== 'string'
    if (mayVanish || isStream || !canBorrow(chunk)) {
      this.write(chunk, encoding)
      return
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    if (this.#unsent === undefined) this.#writeBorrowed(bytes)
    else this.#unsent.last = bytes
  }

  #writeBorrowed(bytes: Uint8Array): void {
    this.#ring.writeBorrowed(this.id, bytes)
    this.#passed += bytes.length
    this.#endIsBorrowed = true
    this.#requestNotification()
  }

  /** Completes the response: everything has been passed to the engine. */
  #complete(): void {
    this.#sendOrDefer(() => {
      // A body with a reader is read to its end. One without is not worth passing to JavaScript.
      const discards = !(this.isBodyOpen && this.#isBodyRead)
      this.#ring.writeCommand(RING_RECORD.END, this.id, discards ? RING_FLAG.DISCARD_BODY : 0)
      this.#release()
    })
  }

  /**
   * Sends what ends the response; after this turn if that depends on whether the body gets a
   * reader.
   */
  #sendOrDefer(send: () => void): void {
    if (!this.#mustDefer) return send()
    this.#deferredEnd = new DeferredEnd(() => {
      this.#updateBodyRead()
      send()
    })
    this.connection.deferredEnd = this.#deferredEnd
  }

  get #mustDefer(): boolean {
    return this.isBodyOpen && this.#deferredEnd === undefined && !this.#updateBodyRead()
  }

  #updateBodyRead(): boolean {
    this.#isBodyRead ||= this.owner?.readsBody === true
    return this.#isBodyRead
  }

  /** Number of bytes that the engine buffers ahead of the client. */
  get #bufferBytes(): number {
    const { responseBuffer } = this.#ring
    return this.connection.isStream ? Math.min(responseBuffer, STREAM_BUFFER_BYTES) : responseBuffer
  }

  /**
   * Passes the queue to the engine as far as it has room, and asks for a notification if it has
   * not.
   */
  #passQueue(queue: UnsentQueue): void {
    const ring = this.#ring
    const room = this.#bufferBytes
    while (queue.length > 0) {
      if (this.#passed >= room) return this.#requestNotification()
      const chunk = queue.take(Math.min(room - this.#passed, ENGINE_CHUNK_BYTES))
      // The program has transferred its memory.
      if (chunk.length === 0) return this.reset()
      if (fitsRing(chunk)) ring.writeData(RING_RECORD.DATA, this.id, chunk, true)
      else ring.writeLarge(this.id, chunk)
      this.#passed += chunk.length + CHUNK_FRAMING_BYTES
    }
    this.#unsent = undefined
    if (queue.last?.length === 0) return this.reset()
    if (queue.last !== undefined) this.#writeBorrowed(queue.last)
    if (queue.trailers !== '') this.trailers(queue.trailers)
    if (queue.isEnded) this.#complete()
  }

  /**
   * Reports what JavaScript buffers for a stream: the engine admits no more streams while it is
   * much.
   */
  #reportUnsent(): void {
    if (!this.connection.isStream) return
    const bytes = this.#unsent === undefined ? 0 : this.#unsent.ownBytes
    const change = Math.abs(bytes - this.#reportedUnsent)
    if (change === 0 || (bytes > 0 && change < UNSENT_STEP)) return
    this.#reportedUnsent = bytes
    this.#ring.writeCommand(RING_RECORD.UNSENT, this.id, 0, bytes)
  }

  reset(): void {
    // The engine has closed it, and uses the id again later.
    if (this.#isAborted) return
    this.#dropResponse()
    this.#ring.writeCommand(RING_RECORD.RESET, this.id)
  }

  #dropResponse(): void {
    this.#isAborted = true
    this.ended = true
    this.#unsent = this.#unsent?.drop()
    this.#deferredEnd?.cancel()
  }

  /** Ends the exchange, because the client has disconnected: no more bytes are read or sent. */
  abort(): void {
    this.#dropResponse()
    this.isBodyOpen = false
    this.owner?.onAborted()
  }

  tunnel(): NativeTunnel {
    this.isBodyOpen = false
    return new NativeTunnel(this.#link, this.id)
  }

  /**
   * Notifies the engine that the application has not taken over the connection: the bytes after
   * the head are a body.
   */
  declineUpgrade(): void {
    if (this.upgrade && this.isBodyOpen) this.#ring.writeCommand(RING_RECORD.TUNNEL, this.id)
  }

  /** Handles the notification: the engine has sent what it was about. */
  drained(): void {
    this.#passed -= this.#notified
    this.#notified = 0
    if (this.#unsent !== undefined) {
      this.#passQueue(this.#unsent)
      this.#reportUnsent()
    } else if (this.#passed >= this.#bufferBytes || (this.#endIsBorrowed && this.#passed > 0)) {
      this.#requestNotification()
    }
    if (this.#notified > 0 || this.#isAborted) return
    const { owner } = this
    if (owner !== undefined) this.#scope?.runInAsyncScope(owner.onDrain, owner)
    this.#release()
  }

  /**
   * Handles the notification of an exchange that the engine has finished: everything has been sent.
   */
  drainedCompletely(): void {
    this.#notified = this.#passed
    this.drained()
  }

  /** Handles the end of the request body. */
  endBody(rawTrailers: string[]): void {
    this.isBodyOpen = false
    this.owner?.onEnd(rawTrailers)
    this.#release()
  }

  /** Asks for a notification once everything that has been passed is sent. */
  #requestNotification(): void {
    if (this.#notified > 0) return
    this.#notified = this.#passed
    this.#scope ??= new AsyncResource('MONOCEROSANSWER')
    this.#ring.writeCommand(RING_RECORD.NOTIFY, this.id)
  }

  /** Releases the slot, if no more events can arrive for the exchange. */
  #release(): void {
    if (!this.ended || this.isBodyOpen || this.#notified > 0) return
    const { live } = this.#link
    const slot = this.id & SLOT_MASK
    if (live[slot] === this) live[slot] = undefined
  }
}
