/** A connection that has left HTTP, on the native engine: its bytes, over the records of the crossing. */
import type { ExchangeOwner, Tunnel } from '../exchange.ts'
import type { LiveExchanges } from './exchange.ts'
import { fitsRing, type Ring } from './ring.ts'
import { OUT } from './wire.ts'

/** Bytes on their way at which `write` says stop. */
const HIGH_WATER_MARK = 65_536

/** From here on the engine is asked what it has sent, so that a reader that keeps up never makes the writer stop. */
const ASK_AT = HIGH_WATER_MARK / 2

/** Credit is given back in portions: small messages need no record each. */
const CREDIT_PORTION = 16_384

export class NativeTunnel implements Tunnel {
  readonly id: number
  owner: ExchangeOwner | undefined = undefined
  /** Our side has ended. */
  ended = false
  /** The client's side may still send. */
  bodyOpen = true
  readonly #ring: Ring
  readonly #live: LiveExchanges
  readonly #place: number
  /** Bytes written and not reported as sent. */
  #unsentBytes = 0
  /** Of `#unsentBytes`, what the question now on its way is about; 0 when none is. */
  #asked = 0
  /** Bytes taken in, for which no credit has been given back. */
  #taken = 0

  constructor(ring: Ring, live: LiveExchanges, place: number, id: number) {
    this.#ring = ring
    this.#live = live
    this.#place = place
    this.id = id
    live[place] = this
    ring.command(OUT.TUNNEL, id, 1)
  }

  /** Something has been asked about, and not answered. */
  get isFull(): boolean {
    return this.#asked > 0
  }

  consume(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < CREDIT_PORTION || !this.bodyOpen) return
    this.#ring.command(OUT.CREDIT, this.id, 0, this.#taken)
    this.#taken = 0
  }

  write(chunk: string | Uint8Array, encoding: BufferEncoding): boolean {
    const plain = typeof chunk !== 'string' || encoding === 'utf8' || encoding === 'latin1'
    if (plain && fitsRing(chunk)) {
      this.#unsentBytes += this.#ring.data(OUT.DATA, this.id, chunk, encoding === 'latin1')
    } else {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      if (fitsRing(bytes)) this.#ring.data(OUT.DATA, this.id, bytes, true)
      else this.#ring.large(this.id, bytes)
      this.#unsentBytes += bytes.length
    }
    if (this.#unsentBytes < ASK_AT) return true
    this.#ask()
    return this.#unsentBytes < HIGH_WATER_MARK
  }

  end(): boolean {
    this.ended = true
    this.#ring.command(OUT.END, this.id)
    if (this.#unsentBytes > 0) {
      this.#ask()
      return false
    }
    this.#forget()
    return true
  }

  /** The engine has sent what was asked about. */
  drained(): void {
    this.#unsentBytes -= this.#asked
    this.#asked = 0
    const waits = this.ended && this.#unsentBytes > 0
    if (waits || this.#unsentBytes >= ASK_AT) this.#ask()
    if (!waits) this.owner?.onDrain()
    this.#forget()
  }

  /** The engine has nothing left of it: everything has been sent. */
  gone(): void {
    this.#asked = this.#unsentBytes
    this.drained()
  }

  /** The client has ended its side. */
  bodyEnded(rawTrailers: string[]): void {
    this.bodyOpen = false
    this.owner?.onEnd(rawTrailers)
    this.#forget()
  }

  /** The client is gone: nothing is read or sent any more. */
  aborted(): void {
    this.ended = true
    this.bodyOpen = false
    this.owner?.onAborted()
  }

  #ask(): void {
    if (this.#asked > 0) return
    this.#asked = this.#unsentBytes
    this.#ring.command(OUT.NOTIFY, this.id)
  }

  /** Once nothing more can be heard of the exchange its place is free. */
  #forget(): void {
    if (!this.ended || this.bodyOpen || this.#asked > 0) return
    if (this.#live[this.#place] === this) this.#live[this.#place] = undefined
  }
}
