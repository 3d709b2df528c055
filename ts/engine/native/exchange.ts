/** Exchanges of the native engine, over the records of the crossing. */
import { AsyncResource } from 'node:async_hooks'
import {
  DISCARDS,
  type Exchange,
  type ExchangeOwner,
  type Fields,
  LENGTH,
  NO_BODY,
} from '../exchange.ts'
import type { NativeConnection, Peer } from './connection.ts'
import { DeferredEnd } from './deferred-end.ts'
import {
  clientOf,
  flagsOf,
  hostOf,
  isSecure,
  prefixOf,
  rawHeadersOf,
  urlAt,
} from './request-record.ts'
import { assertFits, fitsHead, fitsRing, isLendable, type Ring } from './ring.ts'
import { NativeTunnel } from './tunnel.ts'
import { HELD_STEP, LARGE_BYTES, UnsentQueue } from './unsent.ts'
import { copyOf, METHODS, OUT, RECORD_BYTES, REQUEST, u16 } from './wire.ts'

/** Bytes of an answer that are taken ahead of the client on a stream of HTTP/2: one connection has many. */
const STREAM_WINDOW = 65_536

/** The exchanges that may still hear of something, by their place. */
export type LiveExchanges = (NativeExchange | NativeTunnel | undefined)[]

export class NativeExchange implements Exchange {
  readonly connection: NativeConnection
  readonly id: number
  readonly httpVersionMinor: 0 | 1
  readonly keepAlive: boolean
  readonly bodyKind: 0 | 1 | 2
  readonly body: Buffer | undefined
  owner: ExchangeOwner | undefined = undefined
  ended = false
  ahead: Buffer | undefined = undefined
  /** The rest of the request body may still come. */
  bodyOpen: boolean
  readonly #ring: Ring
  readonly #live: LiveExchanges
  readonly #place: number
  /** The batch's text, and where in it the record's fixed part begins. */
  readonly #text: string
  readonly #at: number
  /** Bytes that the engine has taken and not reported as sent. */
  #handed = 0
  /** Of `#handed`, what the question now on its way is about; 0 when none is. */
  #asked = 0
  /** What the engine has no room for yet. */
  #unsent: UnsentQueue | undefined = undefined
  /** What the engine knows of that. */
  #held = 0
  #consumed = false
  #deferredEnd: DeferredEnd | undefined = undefined
  /** It has been reset, or the client has gone. */
  #isLost = false
  /** The end of the answer is lent: it is over when that has been sent. */
  #lends = false
  /** The async context of who has to wait for room, and then hears of it; an ordinary answer needs none. */
  #scope: AsyncResource | undefined = undefined

  constructor(
    ring: Ring,
    live: LiveExchanges,
    place: number,
    connection: NativeConnection,
    id: number,
    text: string,
    at: number,
    flags: number,
    body: Buffer | undefined,
  ) {
    this.connection = connection
    this.id = id
    this.httpVersionMinor = (flags & 1) as 0 | 1
    this.keepAlive = (flags & REQUEST.KEEP_ALIVE) !== 0
    this.bodyKind = ((flags >> REQUEST.BODY_SHIFT) & REQUEST.BODY_MASK) as 0 | 1 | 2
    this.body = body
    this.bodyOpen = this.bodyKind === 2
    this.#ring = ring
    this.#live = live
    this.#place = place
    this.#text = text
    this.#at = at
  }

  get method(): string {
    const known = this.#text.charCodeAt(this.#at)
    if (known !== 0) return METHODS[known] ?? ''
    const start = this.#at + 7 + u16(this.#text, this.#at + 3) * 4
    return this.#text.slice(start, start + u16(this.#text, this.#at + 5))
  }

  get outstanding(): number {
    return this.#asked === 0 ? 0 : this.#handed + (this.#unsent?.left ?? 0)
  }

  get isFull(): boolean {
    return this.#asked > 0 || this.#deferredEnd?.isWaiting === true
  }

  get upgrade(): boolean {
    return (flagsOf(this.#text, this.#at) & REQUEST.UPGRADE) !== 0
  }

  get expects(): boolean {
    return (flagsOf(this.#text, this.#at) & REQUEST.EXPECTS) !== 0
  }

  get url(): string {
    const text = this.#text
    const start = urlAt(text, this.#at)
    return copyOf(text.slice(start, start + u16(text, this.#at + 1)))
  }

  get host(): string | undefined {
    return hostOf(this.#text, this.#at)
  }

  /** What a trusted proxy told of the client: whether it speaks https, and who it is. */
  get told(): { secure: boolean; client: Peer | undefined } {
    return { secure: isSecure(this.#text, this.#at), client: clientOf(this.#text, this.#at) }
  }

  get prefix(): string {
    return prefixOf(this.#text, this.#at)
  }

  rawHeaders(): string[] {
    return rawHeadersOf(this.#text, this.#at)
  }

  consume(bytes: number): void {
    this.#consumed = true
    if (this.bodyOpen) this.#ring.command(OUT.CREDIT, this.id, 0, bytes)
  }

  inform(status: number, reason: string, fields: string): void {
    this.#head(OUT.INFORM, status, reason, fields, 0)
  }

  respond(
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    encoding: BufferEncoding,
  ): void {
    const small = body === undefined || fitsRing(body)
    const latin1 = encoding === 'latin1'
    if (small && (latin1 || encoding === 'utf8' || typeof body !== 'string') && !this.bodyOpen) {
      const kept = (flags & NO_BODY) !== 0 && (flags & LENGTH) === 0 ? undefined : body
      this.#head(OUT.RESPOND, status, reason, fields, flags, kept, latin1)
      this.ended = true
      this.#forget()
      return
    }
    this.ended = true
    let bytes = typeof body === 'string' ? Buffer.from(body, encoding) : body
    // Behind the turn the program may have used its memory again, or given it away.
    if (bytes !== undefined && bytes === body && this.#waits) bytes = Buffer.from(bytes)
    const tell = () => {
      // Nobody has looked at the body yet, and this is the whole answer: whether the connection can be kept depends on how
      // much of it is still to come, and the head has to say so.
      const told = this.#consumed ? flags : flags | DISCARDS
      this.#head(OUT.HEAD, status, reason, fields, told, undefined, true, bytes?.length ?? 0)
      this.#end((flags & NO_BODY) === 0 ? bytes : undefined)
    }
    // What throws does so here: behind the turn nobody could catch it.
    return fitsHead(reason, fields) ? this.#conclude(tell) : tell()
  }

  head(status: number, reason: string | undefined, fields: Fields, flags: number): void {
    this.#head(OUT.HEAD, status, reason, fields, flags)
  }

  /** Throws for fields that never find room; the client, who would wait for the answer, is cut off. */
  #head(
    kind: number,
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body?: string | Uint8Array,
    latin1 = true,
    length = 0,
  ): void {
    try {
      this.#ring.head(kind, this.id, status, reason, fields, flags, body, latin1, length)
    } catch (error) {
      this.reset()
      throw error
    }
  }

  write(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): boolean {
    const plain = typeof chunk !== 'string' || encoding === 'utf8' || encoding === 'latin1'
    if (this.#unsent === undefined && plain && fitsRing(chunk)) {
      this.#handed += this.#ring.data(OUT.DATA, this.id, chunk, encoding === 'latin1')
    } else {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      this.#unsent ??= new UnsentQueue()
      this.#unsent.push(bytes, this.connection.isStream)
      this.#handOver(this.#unsent)
      this.#tellHeld()
    }
    if (this.#handed < this.#window) return true
    this.#ask()
    return false
  }

  trailers(fields: string): void {
    try {
      assertFits(RECORD_BYTES + fields.length + (this.#unsent?.trailers.length ?? 0))
    } catch (error) {
      this.reset()
      throw error
    }
    if (this.#unsent === undefined) this.#ring.data(OUT.TRAILERS, this.id, fields, true)
    else this.#unsent.trailers += fields
  }

  end(chunk?: string | Uint8Array, encoding: BufferEncoding = 'utf8'): void {
    if (this.ended) return
    this.ended = true
    this.#end(chunk, encoding)
  }

  #end(chunk?: string | Uint8Array, encoding: BufferEncoding = 'utf8'): void {
    if (chunk !== undefined && chunk.length > 0) this.#writeLast(chunk, encoding)
    if (this.#unsent === undefined) this.#complete()
    else this.#unsent.ended = true
  }

  /**
   * Writes what nothing follows: a long one is lent, and so needs no room in the engine. Under TLS that is for text alone:
   * bytes that a program transfers meanwhile and drops are an error to the kernel, but the end of a process that encrypts
   * them.
   */
  #writeLast(chunk: string | Uint8Array, encoding: BufferEncoding): void {
    const { secure, isStream } = this.connection
    const mayVanish = secure !== undefined && typeof chunk !== 'string'
    if (mayVanish || isStream || !isLendable(chunk)) {
      this.write(chunk, encoding)
      return
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    if (this.#unsent === undefined) this.#lend(bytes)
    else this.#unsent.last = bytes
  }

  #lend(bytes: Uint8Array): void {
    this.#ring.lend(this.id, bytes)
    this.#handed += bytes.length
    this.#lends = true
    this.#ask()
  }

  /** Says that the answer is complete: everything of it has been handed over. */
  #complete(): void {
    this.#conclude(() => {
      // A body that somebody reads is read to its end; one that nobody has looked at is not worth crossing.
      this.#ring.command(OUT.END, this.id, this.bodyOpen && this.#consumed ? 0 : 1)
      this.#forget()
    })
  }

  /** Tells the engine what ends the answer: behind the turn where that depends on whether somebody reads the body. */
  #conclude(tell: () => void): void {
    if (!this.#waits) return tell()
    this.#deferredEnd = new DeferredEnd(() => {
      this.#reads()
      tell()
    })
    this.connection.deferredEnd = this.#deferredEnd
  }

  get #waits(): boolean {
    return this.bodyOpen && this.#deferredEnd === undefined && !this.#reads()
  }

  #reads(): boolean {
    this.#consumed ||= this.owner?.reads === true
    return this.#consumed
  }

  /** Bytes that the engine takes ahead of the client. */
  get #window(): number {
    const { window } = this.#ring
    return this.connection.isStream ? Math.min(window, STREAM_WINDOW) : window
  }

  /** Hands the backlog over as far as the engine has room, and asks for more room where it has not. */
  #handOver(queue: UnsentQueue): void {
    const ring = this.#ring
    const window = this.#window
    while (queue.length > 0) {
      if (this.#handed >= window) return this.#ask()
      const piece = queue.take(Math.min(window - this.#handed, LARGE_BYTES))
      // The program has given its memory away.
      if (piece.length === 0) return this.reset()
      if (fitsRing(piece)) ring.data(OUT.DATA, this.id, piece, true)
      else ring.large(this.id, piece)
      this.#handed += piece.length
    }
    this.#unsent = undefined
    if (queue.last?.length === 0) return this.reset()
    if (queue.last !== undefined) this.#lend(queue.last)
    if (queue.trailers !== '') this.trailers(queue.trailers)
    if (queue.ended) this.#complete()
  }

  /** One connection has many streams: the engine begins no more of them while much is held for those that it has. */
  #tellHeld(): void {
    if (!this.connection.isStream) return
    const held = this.#unsent === undefined ? 0 : this.#unsent.fresh
    if (held === this.#held || (held > 0 && Math.abs(held - this.#held) < HELD_STEP)) return
    this.#held = held
    this.#ring.command(OUT.HELD, this.id, 0, held)
  }

  reset(): void {
    // The engine has forgotten it, and in time gives its id to another.
    if (this.#isLost) return
    this.#lose()
    this.#ring.command(OUT.RESET, this.id)
  }

  #lose(): void {
    this.#isLost = true
    this.ended = true
    this.#unsent = this.#unsent?.giveUp()
    this.#deferredEnd?.drop()
  }

  /** The client is gone: nothing is read or sent any more. */
  aborted(): void {
    this.#lose()
    this.bodyOpen = false
    this.owner?.onAborted()
  }

  tunnel(): NativeTunnel {
    this.bodyOpen = false
    return new NativeTunnel(this.#ring, this.#live, this.#place, this.id)
  }

  /** Nobody has taken the connection over: what comes behind the head is a body. */
  decline(): void {
    if (this.upgrade && this.bodyOpen) this.#ring.command(OUT.TUNNEL, this.id, 0)
  }

  /** The engine has sent what was asked about. */
  drained(): void {
    this.#handed -= this.#asked
    this.#asked = 0
    if (this.#unsent !== undefined) {
      this.#handOver(this.#unsent)
      this.#tellHeld()
    } else if (this.#handed >= this.#window || (this.#lends && this.#handed > 0)) this.#ask()
    if (this.#asked > 0 || this.#isLost) return
    const { owner } = this
    if (owner !== undefined) this.#scope?.runInAsyncScope(owner.onDrain, owner)
    this.#forget()
  }

  /** The engine has nothing left of it: everything has been sent. */
  gone(): void {
    this.#asked = this.#handed
    this.drained()
  }

  /** The last piece of the request body has come. */
  bodyEnded(rawTrailers: string[]): void {
    this.bodyOpen = false
    this.owner?.onEnd(rawTrailers)
    this.#forget()
  }

  /** Asks to be told when everything handed over so far is sent. */
  #ask(): void {
    if (this.#asked > 0) return
    this.#asked = this.#handed
    this.#scope ??= new AsyncResource('MONOCEROSANSWER')
    this.#ring.command(OUT.NOTIFY, this.id)
  }

  /** Once nothing more can be heard of the exchange its place is free. */
  #forget(): void {
    if (!this.ended || this.bodyOpen || this.#asked > 0) return
    if (this.#live[this.#place] === this) this.#live[this.#place] = undefined
  }
}
