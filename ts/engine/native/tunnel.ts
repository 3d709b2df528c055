/** Tunnels of the native engine: connections that the application has taken over. */
import type { ExchangeOwner, Tunnel } from '../exchange.ts'
import type { ExchangeLink } from './exchange.ts'
import { fitsRing, type Ring } from './ring.ts'
import { RING_FLAG, RING_RECORD, SLOT_MASK } from './wire.ts'

/** Number of unsent bytes at which `write` returns false. */
const HIGH_WATER_MARK = 65_536

/**
 * Number of unsent bytes at which to ask for a notification, so that a fast reader never stops the
 * writer.
 */
const NOTIFY_BYTES = HIGH_WATER_MARK / 2

/** Credit is granted in portions of this size: small messages need no record each. */
const CREDIT_PORTION = 16_384

/** A connection that carries bytes. */
export class NativeTunnel implements Tunnel {
  readonly id: number
  owner: ExchangeOwner | undefined = undefined
  /** Whether our side has ended. */
  ended = false
  /** Whether the client may still send. */
  isBodyOpen = true
  readonly #link: ExchangeLink
  readonly #ring: Ring
  /** Number of bytes written and not known to be sent. */
  #unsentBytes = 0
  /** The part of `#unsentBytes` that the pending NOTIFY record is about; 0 without one. */
  #notified = 0
  /** Number of bytes consumed for which no credit has been granted. */
  #consumed = 0

  constructor(link: ExchangeLink, id: number) {
    this.#link = link
    this.#ring = link.ring
    this.id = id
    link.live[id & SLOT_MASK] = this
    link.ring.writeCommand(RING_RECORD.TUNNEL, id, RING_FLAG.TAKEN_OVER)
  }

  /** Whether a notification is pending. */
  get isFull(): boolean {
    return this.#notified > 0
  }

  consume(bytes: number): void {
    this.#consumed += bytes
    if (this.#consumed < CREDIT_PORTION || !this.isBodyOpen) return
    this.#ring.writeCommand(RING_RECORD.CREDIT, this.id, 0, this.#consumed)
    this.#consumed = 0
  }

  write(chunk: string | Uint8Array, encoding: BufferEncoding): boolean {
    const ring = this.#ring
    const isPlain = typeof chunk !== 'string' || encoding === 'utf8' || encoding === 'latin1'
    if (isPlain && fitsRing(chunk)) {
      const isLatin1 = encoding === 'latin1'
      this.#unsentBytes += ring.writeData(RING_RECORD.DATA, this.id, chunk, isLatin1)
    } else {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      if (fitsRing(bytes)) ring.writeData(RING_RECORD.DATA, this.id, bytes, true)
      else ring.writeLarge(this.id, bytes)
      this.#unsentBytes += bytes.length
    }
    if (this.#unsentBytes < NOTIFY_BYTES) return true
    this.#requestNotification()
    return this.#unsentBytes < HIGH_WATER_MARK
  }

  end(): boolean {
    this.ended = true
    this.#ring.writeCommand(RING_RECORD.END, this.id)
    if (this.#unsentBytes > 0) {
      this.#requestNotification()
      return false
    }
    this.#release()
    return true
  }

  /** Handles the notification: the engine has sent what it was about. */
  drained(): void {
    this.#unsentBytes -= this.#notified
    this.#notified = 0
    const isEnding = this.ended && this.#unsentBytes > 0
    if (isEnding || this.#unsentBytes >= NOTIFY_BYTES) this.#requestNotification()
    if (!isEnding) this.owner?.onDrain()
    this.#release()
  }

  /**
   * Handles the notification of a tunnel that the engine has finished: everything has been sent.
   */
  drainedCompletely(): void {
    this.#notified = this.#unsentBytes
    this.drained()
  }

  /** Handles the end of the client's side. */
  endBody(rawTrailers: string[]): void {
    this.isBodyOpen = false
    this.owner?.onEnd(rawTrailers)
    this.#release()
  }

  /** Ends the tunnel, because the client has disconnected: no more bytes are read or sent. */
  abort(): void {
    this.ended = true
    this.isBodyOpen = false
    this.owner?.onAborted()
  }

  #requestNotification(): void {
    if (this.#notified > 0) return
    this.#notified = this.#unsentBytes
    this.#ring.writeCommand(RING_RECORD.NOTIFY, this.id)
  }

  /** Releases the slot, if no more events can arrive for the tunnel. */
  #release(): void {
    if (!this.ended || this.isBodyOpen || this.#notified > 0) return
    const { live } = this.#link
    const slot = this.id & SLOT_MASK
    if (live[slot] === this) live[slot] = undefined
  }
}
