/**
 * The writing end of the ring: answers go into memory that the I/O thread reads by itself
 * (`docs/design/crossing.md`). A record is never broken at the end of the memory.
 */
import { monocerosError } from '../../errors.ts'
import type { NativeEngine } from '../../native/index.ts'
import { system } from '../../process/system.ts'
import type { Fields } from '../exchange.ts'
import { countCopied } from './gc-pressure.ts'
import { LENT, OUT, RECORD_BYTES, RING_DATA, WORD } from './wire.ts'

/** Bytes of records that fit; a power of two. */
const RING_BYTES = 1 << 20

/** The longest record: whatever of the memory's end has to be left empty, it finds room. */
const MOST_RECORD_BYTES = RING_BYTES / 2

/** Strings and bytes beyond this go beside the ring, copied once into the engine's own memory. */
export const RING_PIECE_BYTES = 16_384

/** A piece of an answer's end that is at least as long as this is sent from where it is. */
const LEND_BYTES = 65_536

/** With so much unsaid the I/O thread is woken in the middle of a batch. */
const WAKE_BYTES = 65_536

/** The I/O thread is not woken more often than this in the middle of a batch. */
const WAKE_INTERVAL_MS = 0.2

/** With many clients the I/O thread may not come to sleep. */
const MOST_SETTLE_MS = 100

/** `reason` of a head that takes the status code's own phrase. */
const NO_REASON = -1

/** Requests of a batch between two looks at the clock, which costs as much as a field. */
const CLOCK_EVERY = 4

/** So far behind, what was written is still there, whatever is written next with no more than that beside its fields. */
const FRESH_BYTES = RING_BYTES / 8

/** A text this short is written faster from here than by a call into C++. */
const SHORT_TEXT = 64

type Latin1Writer = (text: string, at: number, length: number) => number

/** What Buffer.prototype has in every Node and its types leave out. */
interface WritableBuffer extends Buffer {
  latin1Write: Latin1Writer
  utf8Write: Latin1Writer
}

const NO_LINES: readonly string[] = []

export class Ring {
  /** All of the memory, as the engine takes it. */
  readonly memory = new Uint8Array(RING_DATA + RING_BYTES)
  readonly #header = new Int32Array(this.memory.buffer, 0, RING_DATA / 4)
  readonly #words = new Int32Array(this.memory.buffer, RING_DATA)
  readonly #bytes = Buffer.from(this.memory.buffer, RING_DATA) as WritableBuffer
  #engine: NativeEngine | undefined
  /** Bytes written since the start, wrapping at 32 bits as the engine's count does. */
  #tail = 0
  /** Bytes read by the engine when it was last looked at. */
  #head = 0
  /** `#tail` at the last wake. */
  #woken = 0
  #wokenAt = 0
  #unclocked = 0
  #scheduled = false
  /** Fields that were written as lines, where, and how long those are: answers that follow have the same mostly. */
  #lines: readonly string[] = NO_LINES
  #linesAt = 0
  #linesTail = 0
  #linesLength = 0
  readonly #wakeLater = (): void => {
    this.#scheduled = false
    this.wake()
  }
  /** The dispatcher is at work and will call `wake` itself. */
  inBatch = false

  attach(engine: NativeEngine): void {
    this.#engine = engine
  }

  /** Bytes of one answer that the engine takes ahead of its client; less while its memory is short. */
  get window(): number {
    return Atomics.load(this.#header, WORD.WINDOW)
  }

  /** Writes a record without payload. */
  command(kind: number, id: number, flags = 0, count = 0): void {
    const at = this.#reserve(RECORD_BYTES)
    this.#prefix(at, kind | (flags << 8), id, 0, 0, count)
    this.#publish(RECORD_BYTES)
  }

  /**
   * Writes a head with a body that fits; `body` of undefined is none. Returns the body's length. For `HEAD` and `INFORM`
   * records `length` is the value of Content-Length. Throws for fields that never find room.
   */
  head(
    kind: number,
    id: number,
    status: number,
    reason: string | undefined,
    fields: Fields,
    flags: number,
    body: string | Uint8Array | undefined,
    latin1: boolean,
    length = 0,
  ): number {
    const reasonLength = reason === undefined ? 0 : reason.length
    const bodyMost =
      body === undefined ? 0 : typeof body === 'string' ? body.length * 3 : body.length
    const isText = typeof fields === 'string'
    const isShort = bodyMost + reasonLength < FRESH_BYTES
    const isRepeated = !isText && isShort && this.#wroteLines(fields)
    const fieldsMost = isText ? fields.length : isRepeated ? this.#linesLength : linesLength(fields)
    const most = RECORD_BYTES + fieldsMost + reasonLength + bodyMost
    const at = this.#reserve(most)
    const bytes = this.#bytes
    let end = at + RECORD_BYTES
    if (isRepeated) this.#repeatLines(end)
    else if (!isText) this.#writeLines(fields, end, fieldsMost)
    else if (fieldsMost > 0) bytes.latin1Write(fields, end, fieldsMost)
    end += fieldsMost
    if (reason !== undefined && reasonLength > 0)
      end += bytes.latin1Write(reason, end, reasonLength)
    let bodyLength = length
    if (typeof body === 'string') {
      bodyLength = latin1 ? bytes.latin1Write(body, end, body.length) : writeText(bytes, body, end)
      end += bodyLength
    } else if (body !== undefined) {
      bytes.set(body, end)
      bodyLength = body.length
      end += bodyLength
    }
    const first = kind | (flags << 8) | (status << 16)
    const reasonWord = reason === undefined ? NO_REASON : reasonLength
    this.#prefix(at, first, id, fieldsMost, reasonWord, bodyLength)
    this.#publish(end - at)
    return bodyLength
  }

  /** Writes a record whose payload is bytes or text that fit. Returns how many bytes they are. */
  data(kind: number, id: number, chunk: string | Uint8Array, latin1: boolean): number {
    const most = typeof chunk === 'string' ? chunk.length * 3 : chunk.length
    const at = this.#reserve(RECORD_BYTES + most)
    const start = at + RECORD_BYTES
    let length: number
    if (typeof chunk !== 'string') {
      this.#bytes.set(chunk, start)
      length = chunk.length
    } else if (latin1) length = this.#bytes.latin1Write(chunk, start, chunk.length)
    else length = this.#bytes.utf8Write(chunk, start, most)
    this.#prefix(at, kind, id, length, 0, 0)
    this.#publish(RECORD_BYTES + length)
    return length
  }

  /** Writes a record that refers to a piece beside the ring. */
  large(id: number, piece: Uint8Array): void {
    this.#engine?.pushLarge(piece)
    // The engine has its own copy now: the application's is garbage sooner or later.
    countCopied(piece.length)
    this.command(OUT.LARGE, id)
  }

  /** Writes a record that refers to a piece which stays where it is until it has been sent. */
  lend(id: number, piece: Uint8Array): void {
    if (this.#engine?.pushBorrowed(piece) === true) this.command(OUT.LARGE, id, LENT)
    else this.large(id, piece)
  }

  /** Wakes the I/O thread if it sleeps and something is unsaid. */
  wake(): void {
    if (this.#woken === this.#tail) return
    this.#woken = this.#tail
    // The engine publishes that it sleeps before it looks at the tail a last time, so one of the two sees the other.
    if (Atomics.load(this.#header, WORD.SLEEPING) === 1) this.#engine?.wake()
  }

  /** Between two requests of a batch: wakes the I/O thread if answers have waited or are many. */
  wakeInBatch(): void {
    if (this.#woken === this.#tail || ++this.#unclocked < CLOCK_EVERY) return
    this.#unclocked = 0
    const now = system.now()
    if (now - this.#wokenAt < WAKE_INTERVAL_MS) return
    this.#wokenAt = now
    this.wake()
  }

  /** The batch is done: the I/O thread need not look by itself any more. */
  endBatch(): void {
    this.inBatch = false
    this.wake()
    this.#wokenAt = system.now()
    Atomics.store(this.#header, WORD.BATCH, 0)
  }

  /** The process ends: waits, but not for long, until the I/O thread sleeps and so has sent what the sockets take. */
  settle(): void {
    this.endBatch()
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let waitedMs = 0; waitedMs < MOST_SETTLE_MS && !this.#isSettled; waitedMs++) {
      Atomics.wait(pause, 0, 0, 1)
    }
  }

  get #isSettled(): boolean {
    const header = this.#header
    return (
      Atomics.load(header, WORD.HEAD) === this.#tail && Atomics.load(header, WORD.SLEEPING) === 1
    )
  }

  /** Whether the lines of these fields are those that were written last, and are still there. */
  #wroteLines(fields: readonly string[]): boolean {
    const lines = this.#lines
    const { length } = fields
    if (length !== lines.length || ((this.#tail - this.#linesTail) | 0) >= FRESH_BYTES) return false
    for (let index = 0; index < length; index++) if (fields[index] !== lines[index]) return false
    return true
  }

  /** Copies the lines that were written last, by words: fields begin at one, and what follows them is written behind. */
  #repeatLines(at: number): void {
    const words = this.#words
    const end = (at + this.#linesLength + 3) >> 2
    for (let to = at >> 2, from = this.#linesAt >> 2; to < end; to++, from++) {
      words[to] = words[from] as number
    }
    this.#linesAt = at
    this.#linesTail = this.#tail
  }

  #writeLines(fields: readonly string[], at: number, length: number): void {
    writeLines(this.#bytes, fields, at)
    this.#lines = fields
    this.#linesAt = at
    this.#linesTail = this.#tail
    this.#linesLength = length
  }

  #prefix(at: number, first: number, id: number, a: number, b: number, c: number): void {
    const words = this.#words
    const word = at >> 2
    words[word] = first
    words[word + 1] = id
    words[word + 2] = a
    words[word + 3] = b
    words[word + 4] = c
  }

  /** Finds room for `count` bytes in one piece and returns where. */
  #reserve(count: number): number {
    // Only fields can be so long: bodies go beside the ring in time.
    assertFits(count)
    const size = (count + 3) & ~3
    let at = this.#tail & (RING_BYTES - 1)
    const pad = at + size > RING_BYTES ? RING_BYTES - at : 0
    while (RING_BYTES - ((this.#tail - this.#head) | 0) < size + pad) {
      this.#head = Atomics.load(this.#header, WORD.HEAD)
      if (RING_BYTES - ((this.#tail - this.#head) | 0) >= size + pad) break
      this.#engine?.waitForSpace()
    }
    if (pad > 0) {
      this.#words[at >> 2] = OUT.PAD
      this.#tail = (this.#tail + pad) | 0
      at = 0
    }
    return at
  }

  #publish(count: number): void {
    this.#tail = (this.#tail + ((count + 3) & ~3)) | 0
    Atomics.store(this.#header, WORD.TAIL, this.#tail)
    if (((this.#tail - this.#woken) | 0) >= WAKE_BYTES) this.wake()
    else if (!this.inBatch && !this.#scheduled) {
      this.#scheduled = true
      setImmediate(this.#wakeLater)
    }
  }
}

/** Bytes of the lines that names and values make. */
function linesLength(fields: readonly string[]): number {
  let length = fields.length * 2
  for (const text of fields) length += text.length
  return length
}

function writeLines(bytes: WritableBuffer, fields: readonly string[], start: number): void {
  let at = start
  for (let index = 0; index < fields.length; index++) {
    at = writeLatin1(bytes, fields[index] as string, at)
    const isName = (index & 1) === 0
    bytes[at] = isName ? 58 : 13
    bytes[at + 1] = isName ? 32 : 10
    at += 2
  }
}

/** Returns where the text ends. */
function writeLatin1(bytes: WritableBuffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_TEXT) return at + bytes.latin1Write(text, at, length)
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index)
  return at + length
}

/** Writes text as UTF-8, and says how many bytes it is. */
function writeText(bytes: WritableBuffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_TEXT) return bytes.utf8Write(text, at, length * 3)
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return bytes.utf8Write(text, at, length * 3)
    bytes[at + index] = code
  }
  return length
}

/** Throws for a record that never finds room. */
export function assertFits(bytes: number): void {
  if (bytes > MOST_RECORD_BYTES) {
    throw monocerosError('ERR_FIELDS_TOO_LONG', bytes, MOST_RECORD_BYTES)
  }
}

/**
 * Whether it is worth lending, and can be: memory that is shared with other threads or may shrink is copied, since nobody
 * can say when it changes.
 */
export function isLendable(bytes: string | Uint8Array): boolean {
  if (bytes.length < LEND_BYTES) return false
  // It becomes a Buffer that nobody else has.
  if (typeof bytes === 'string') return true
  return bytes.buffer instanceof ArrayBuffer && !isResizable(bytes)
}

/** Whether the memory may grow and shrink. */
export function isResizable({ buffer }: Uint8Array): boolean {
  return (buffer as { resizable?: boolean }).resizable === true
}

/** Whether a record can hold it. */
export function fitsRing(chunk: string | Uint8Array): boolean {
  return (typeof chunk === 'string' ? chunk.length * 3 : chunk.length) <= RING_PIECE_BYTES
}

/** Whether a record can hold a head. */
export function fitsHead(reason: string | undefined, fields: Fields): boolean {
  const length = typeof fields === 'string' ? fields.length : linesLength(fields)
  return RECORD_BYTES + length + (reason?.length ?? 0) <= MOST_RECORD_BYTES
}
