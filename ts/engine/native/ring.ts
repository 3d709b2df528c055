/**
 * The writing end of the ring: responses are written into memory that the I/O thread reads by
 * itself (`docs/design/bridge.md`). No record crosses the end of the memory.
 */
import { monocerosError } from '../../errors.ts'
import type { NativeEngine } from '../../native/index.ts'
import { system } from '../../process/system.ts'
import type { ByteCounts, Fields } from '../exchange.ts'
import {
  LastLines,
  linesLength,
  type WritableBuffer,
  writeLines,
  writeUtf8,
} from './field-lines.ts'
import { countCopied } from './gc-pressure.ts'
import {
  LOOP_STATE,
  NO_REASON,
  RING_COUNT_WORD,
  RING_DATA_AT,
  RING_FIELDS_WORD,
  RING_FLAG,
  RING_FLAGS_SHIFT,
  RING_ID_WORD,
  RING_REASON_WORD,
  RING_RECORD,
  RING_RECORD_BYTES,
  RING_STATUS_SHIFT,
  RING_WORD,
} from './wire.ts'

/** Size of the records in bytes; a power of two. */
const RING_BYTES = 1 << 20

/** Maximum size of a record: it fits even if the end of the memory has to be padded. */
const MAX_RECORD_BYTES = RING_BYTES / 2

/**
 * Maximum size of a chunk in the ring. A larger one is copied once, into the engine's own memory.
 */
export const RING_CHUNK_BYTES = 16_384

/** Minimum size of the last chunk of a response that is sent without a copy. */
const MIN_BORROWED_BYTES = 65_536

/** Number of bytes that no wake has covered at which the I/O thread is woken during a batch. */
const WAKE_BYTES = 65_536

/** Minimum time between two wakes of the I/O thread during a batch. */
const WAKE_INTERVAL_MS = 0.2

/** Maximum number of responses that are sent in one call while this thread runs the loop. */
const MAX_HELD = 8

/** Time after which a response does not wait for others, in milliseconds. */
const MAX_HELD_MS = 0.1

/**
 * Maximum time to wait at exit for the I/O thread to sleep: with many clients it may never do so.
 */
const MAX_SETTLE_MS = 100

/**
 * Number of requests in a batch between two reads of the clock, which costs as much as writing a
 * field.
 */
const CLOCK_EVERY = 4

/**
 * Maximum size of a body and reason phrase for which the previous lines are copied: these are still
 * in the ring.
 */
const REPEATABLE_BYTES = RING_BYTES / 8

/**
 * A response head that is written next. The ring has one such object, which is filled in for each
 * head, so that a response allocates none.
 */
export interface HeadRecord {
  kind: number
  id: number
  status: number
  /** undefined for the default phrase of the status code. */
  reason: string | undefined
  fields: Fields
  flags: number
  /** The body of a RESPOND record. */
  body: string | Uint8Array | undefined
  /** Whether a body that is text is written as latin1 and not as UTF-8. */
  isLatin1: boolean
  /** The value of Content-Length for a HEAD record. */
  bodyLength: number
}

/** The ring of one engine. */
export class Ring {
  /** The whole memory, as the engine takes it. */
  readonly memory = new Uint8Array(RING_DATA_AT + RING_BYTES)
  /** The head that `writeHead` writes. */
  readonly head: HeadRecord = {
    kind: 0,
    id: 0,
    status: 0,
    reason: undefined,
    fields: '',
    flags: 0,
    body: undefined,
    isLatin1: true,
    bodyLength: 0,
  }
  readonly #header = new Int32Array(this.memory.buffer, 0, RING_DATA_AT / 4)
  readonly #words = new Int32Array(this.memory.buffer, RING_DATA_AT)
  readonly #bytes = Buffer.from(this.memory.buffer, RING_DATA_AT) as WritableBuffer
  #engine: NativeEngine | undefined
  #wakeEngine: () => void = () => {}
  /** Number of bytes written since the start, wrapping at 32 bits like the engine's count. */
  #tail = 0
  /** Number of bytes read by the engine, when it was last checked. */
  #head = 0
  /** `#tail` at the last wake. */
  #wakeTail = 0
  #wakeTimeMs = 0
  #requestsSinceClock = 0
  #isWakeScheduled = false
  readonly #lastLines = new LastLines()
  readonly #wakeLater = (): void => {
    this.#isWakeScheduled = false
    // The loop may have read the records before it polled.
    if (Atomics.load(this.#header, RING_WORD.HEAD) !== this.#tail) this.wake()
  }
  /** Whether the dispatcher handles a batch; it then calls `wake` itself. */
  isInBatch = false

  /** Sets the engine that reads the ring, and the function that makes it read. */
  attach(engine: NativeEngine, wake: () => void): void {
    this.#engine = engine
    this.#wakeEngine = wake
  }

  /**
   * Number of response bytes that the engine buffers ahead of one client; less while its memory is
   * short.
   */
  get responseBuffer(): number {
    return Atomics.load(this.#header, RING_WORD.RESPONSE_BUFFER)
  }

  /** Writes a record without a payload. */
  writeCommand(kind: number, id: number, flags = 0, count = 0): void {
    const at = this.#reserve(RING_RECORD_BYTES)
    this.#writePrefix(at, kind | (flags << RING_FLAGS_SHIFT), id, 0, 0, count)
    this.#publish(RING_RECORD_BYTES)
  }

  /** Writes `head` with its body, which must fit. Throws for fields that never fit. */
  writeHead(): void {
    const { kind, id, status, reason, fields, flags, body, isLatin1 } = this.head
    // The record must not keep the body alive.
    this.head.body = undefined
    const reasonLength = reason === undefined ? 0 : reason.length
    const maxBody =
      body === undefined ? 0 : typeof body === 'string' ? body.length * 3 : body.length
    const isText = typeof fields === 'string'
    const last = this.#lastLines
    const isRepeated =
      !isText &&
      maxBody + reasonLength < REPEATABLE_BYTES &&
      ((this.#tail - last.tail) | 0) < REPEATABLE_BYTES &&
      last.are(fields)
    const fieldsLength = isText ? fields.length : isRepeated ? last.length : linesLength(fields)
    const at = this.#reserve(RING_RECORD_BYTES + fieldsLength + reasonLength + maxBody)
    const bytes = this.#bytes
    let end = at + RING_RECORD_BYTES
    if (isText) {
      if (fieldsLength > 0) bytes.latin1Write(fields, end, fieldsLength)
    } else if (isRepeated) {
      last.copy(this.#words, end)
      last.tail = this.#tail
    } else {
      writeLines(bytes, fields, end)
      last.set(fields, end, fieldsLength)
      last.tail = this.#tail
    }
    end += fieldsLength
    if (reason !== undefined && reasonLength > 0) {
      end += bytes.latin1Write(reason, end, reasonLength)
    }
    let count = this.head.bodyLength
    if (typeof body === 'string') {
      count = isLatin1 ? bytes.latin1Write(body, end, body.length) : writeUtf8(bytes, body, end)
      end += count
    } else if (body !== undefined) {
      bytes.set(body, end)
      count = body.length
      end += count
    }
    const first = kind | (flags << RING_FLAGS_SHIFT) | (status << RING_STATUS_SHIFT)
    const reasonWord = reason === undefined ? NO_REASON : reasonLength
    this.#writePrefix(at, first, id, fieldsLength, reasonWord, count)
    this.#publish(end - at)
  }

  /** Writes a record whose payload is bytes or text that fit. Returns the number of bytes. */
  writeData(kind: number, id: number, chunk: string | Uint8Array, isLatin1: boolean): number {
    const max = typeof chunk === 'string' ? chunk.length * 3 : chunk.length
    const at = this.#reserve(RING_RECORD_BYTES + max)
    const start = at + RING_RECORD_BYTES
    let length: number
    if (typeof chunk !== 'string') {
      this.#bytes.set(chunk, start)
      length = chunk.length
    } else if (isLatin1) length = this.#bytes.latin1Write(chunk, start, chunk.length)
    else length = this.#bytes.utf8Write(chunk, start, max)
    this.#writePrefix(at, kind, id, length, 0, 0)
    this.#publish(RING_RECORD_BYTES + length)
    return length
  }

  /** Copies a chunk into the engine's own memory, and writes a record that refers to it. */
  writeLarge(id: number, chunk: Uint8Array): void {
    this.#engine?.pushLarge(chunk)
    // The engine has a copy now, so the application's buffer becomes garbage.
    countCopied(chunk.length)
    this.writeCommand(RING_RECORD.LARGE, id)
  }

  /**
   * Writes a record that refers to a chunk in the application's memory, which is borrowed until it
   * has been sent.
   */
  writeBorrowed(id: number, chunk: Uint8Array): void {
    if (this.#engine?.pushBorrowed(chunk) === true) {
      this.writeCommand(RING_RECORD.LARGE, id, RING_FLAG.BORROWED)
    } else this.writeLarge(id, chunk)
  }

  /**
   * Returns the byte counts of a connection, with the records that have been written for it;
   * undefined for one that closed long ago.
   */
  byteCounts(connectionId: number): ByteCounts | undefined {
    const [received, written] = this.#engine?.byteCounts(connectionId) ?? []
    return received === undefined || written === undefined ? undefined : [received, written]
  }

  /** Wakes the I/O thread, if it sleeps and there are records that no wake has covered. */
  wake(): void {
    if (this.#wakeTail === this.#tail) return
    this.#wakeTail = this.#tail
    // The engine publishes that it sleeps before it checks the tail a last time, so one of the two
    // sees the other.
    const state = Atomics.load(this.#header, RING_WORD.LOOP_STATE)
    if (state !== LOOP_STATE.RUNNING) this.#wakeEngine()
  }

  /**
   * Sends the responses between two requests of a batch if they are several or have waited. On this
   * thread, sending several in one call keeps the code of the engine and of the kernel in the
   * processor's cache. On the I/O thread it takes a wake.
   */
  wakeInBatch(): void {
    if (this.#wakeTail === this.#tail) return
    const state = Atomics.load(this.#header, RING_WORD.LOOP_STATE)
    const isHere = state === LOOP_STATE.JAVASCRIPT
    this.#requestsSinceClock += 1
    if (!isHere && this.#requestsSinceClock < CLOCK_EVERY) return
    const now = system.now()
    const waitedMs = now - this.#wakeTimeMs
    const isDue = isHere
      ? this.#requestsSinceClock >= MAX_HELD || waitedMs >= MAX_HELD_MS
      : waitedMs >= WAKE_INTERVAL_MS
    if (isDue || !isHere) this.#requestsSinceClock = 0
    if (!isDue) return
    this.#wakeTimeMs = now
    this.wake()
  }

  /** Marks the end of a batch: the I/O thread need not poll the ring any more. */
  endBatch(): void {
    this.isInBatch = false
    this.wake()
    this.#wakeTimeMs = system.now()
    Atomics.store(this.#header, RING_WORD.BATCH, 0)
  }

  /** Waits at exit until the I/O thread sleeps, and so has sent what the sockets accept. */
  settle(): void {
    this.endBatch()
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let waitedMs = 0; waitedMs < MAX_SETTLE_MS && !this.#isSettled; waitedMs++) {
      Atomics.wait(pause, 0, 0, 1)
    }
  }

  get #isSettled(): boolean {
    const header = this.#header
    const isRead = Atomics.load(header, RING_WORD.HEAD) === this.#tail
    return isRead && Atomics.load(header, RING_WORD.LOOP_STATE) !== LOOP_STATE.RUNNING
  }

  #writePrefix(
    at: number,
    first: number,
    id: number,
    fieldsLength: number,
    reasonLength: number,
    count: number,
  ): void {
    const words = this.#words
    const word = at >> 2
    words[word] = first
    words[word + RING_ID_WORD] = id
    words[word + RING_FIELDS_WORD] = fieldsLength
    words[word + RING_REASON_WORD] = reasonLength
    words[word + RING_COUNT_WORD] = count
  }

  /** Finds room for `count` consecutive bytes and returns its offset. */
  #reserve(count: number): number {
    // Only fields can exceed the ring: large bodies are passed outside of it.
    assertFits(count)
    const size = (count + 3) & ~3
    let at = this.#tail & (RING_BYTES - 1)
    const pad = at + size > RING_BYTES ? RING_BYTES - at : 0
    while (RING_BYTES - ((this.#tail - this.#head) | 0) < size + pad) {
      this.#head = Atomics.load(this.#header, RING_WORD.HEAD)
      if (RING_BYTES - ((this.#tail - this.#head) | 0) >= size + pad) break
      this.#engine?.waitForSpace()
    }
    if (pad > 0) {
      this.#words[at >> 2] = RING_RECORD.PAD
      this.#tail = (this.#tail + pad) | 0
      at = 0
    }
    return at
  }

  #publish(count: number): void {
    this.#tail = (this.#tail + ((count + 3) & ~3)) | 0
    Atomics.store(this.#header, RING_WORD.TAIL, this.#tail)
    if (((this.#tail - this.#wakeTail) | 0) >= WAKE_BYTES) this.wake()
    else if (!this.isInBatch && !this.#isWakeScheduled) {
      this.#isWakeScheduled = true
      setImmediate(this.#wakeLater)
    }
  }
}

/** Throws for a record that never fits. */
export function assertFits(bytes: number): void {
  if (bytes > MAX_RECORD_BYTES) throw monocerosError('ERR_FIELDS_TOO_LONG', bytes, MAX_RECORD_BYTES)
}

/**
 * Returns whether a chunk is large enough to be borrowed, and can be. Memory that other threads
 * share, or that may shrink, is copied, because it can change at any time.
 */
export function canBorrow(chunk: string | Uint8Array): boolean {
  if (chunk.length < MIN_BORROWED_BYTES) return false
  // A text becomes a Buffer that nothing else refers to.
  if (typeof chunk === 'string') return true
  return chunk.buffer instanceof ArrayBuffer && !isResizable(chunk)
}

/** Returns whether the memory may grow and shrink. */
export function isResizable({ buffer }: Uint8Array): boolean {
  return (buffer as { resizable?: boolean }).resizable === true
}

/** Returns whether a chunk fits into a record, also as UTF-8. */
export function fitsRing(chunk: string | Uint8Array): boolean {
  return (typeof chunk === 'string' ? chunk.length * 3 : chunk.length) <= RING_CHUNK_BYTES
}

/** Returns whether a head fits into a record. */
export function fitsHead(reason: string | undefined, fields: Fields): boolean {
  const length = typeof fields === 'string' ? fields.length : linesLength(fields)
  return RING_RECORD_BYTES + length + (reason?.length ?? 0) <= MAX_RECORD_BYTES
}
