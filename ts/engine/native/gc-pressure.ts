/**
 * Keeps bodies from leaving tens of megabytes of garbage. V8's limits see the small heads of
 * buffers and, of their bytes, only each 64 MiB, so whoever streams a body through, or makes
 * answers that nobody takes, grows by that much.
 *
 * A collection of the young generation after every few megabytes costs well under a millisecond. It
 * does not find what has been there for a while, such as an answer whose client stood still: that
 * takes a whole collection, which is asked for where buffers have grown all the same, or where much
 * of what stood is given up. It takes a few milliseconds; a large heap, where it would take longer,
 * is left to V8.
 */
import { system } from '../../process/system.ts'

/** Body bytes between two collections of the young generation. */
const COLLECT_EVERY = 8 << 20

/** Less than this is not worth a collection. */
const LEAST_GROWTH = 4 << 20

/**
 * How much buffers that stand for no client may grow before the whole heap is collected, and how
 * many may be given up.
 */
const MOST_GROWTH = 8 << 20

/**
 * A heap that is larger has no pause of our making: its collection would take tens of milliseconds.
 */
const MOST_HEAP = 64 << 20

/** Whole collections take no more than one part in so many of the time. */
const SHARE_OF_TIME = 10

/** Within so long what was collected has been given back. */
const SWEEP_MS = 20

type Collect = (options?: { type: 'minor' }) => void

let received = 0
let copied = 0
let abandoned = 0
/** Bytes that are there for answers whose clients have not taken them. */
let standing = 0
/** The least that other buffers took since the last whole collection. */
let least = 0
/** Before this no whole collection begins. */
let notBefore = 0
let isDue = false
let collect: Collect | undefined

/** Counts bytes of a request's body, which came as a buffer. */
export function countReceived(count: number): void {
  received += count
  if (received >= COLLECT_EVERY) collectYoung(look() - least)
}

/**
 * Counts bytes of an answer that the engine has a copy of: what they were copied from is done with.
 */
export function countCopied(count: number): void {
  copied += count
  if (copied < COLLECT_EVERY) return
  copied = 0
  const grown = look() - least
  // Whoever sends the same buffers again and again leaves no garbage.
  if (grown >= LEAST_GROWTH) collectYoung(grown)
}

/**
 * What buffers have grown by is looked at before, so that what it finds is the same part of all
 * that is compared.
 */
function collectYoung(grown: number): void {
  received = 0
  collect ??= expose()
  collect({ type: 'minor' })
  if (grown <= COLLECT_EVERY + MOST_GROWTH || isDue) return
  isDue = true
  setImmediate(collectAll)
}

/** Counts bytes that stand for a client, or do no more. */
export function countHeld(change: number): void {
  standing += change
}

/** Counts bytes that stood for a client that will not take them. */
export function countAbandoned(count: number): void {
  standing -= count
  abandoned += count
  if (abandoned < MOST_GROWTH || isDue) return
  isDue = true
  // The application has not heard of it yet, and so holds them still.
  setImmediate(collectAll)
}

/** What buffers take now that stand for nobody. */
function look(): number {
  const taken = process.memoryUsage().arrayBuffers - standing
  least = Math.min(least, taken)
  return taken
}

/** At once, or as soon as it may be. */
function collectAll(): void {
  const begun = system.now()
  isDue = begun < notBefore
  if (isDue) {
    setTimeout(collectAll, notBefore - begun + 1).unref()
    return
  }
  abandoned = 0
  if (process.memoryUsage().heapUsed > MOST_HEAP) return
  collect ??= expose()
  collect()
  const now = system.now()
  notBefore = now + (now - begun) * SHARE_OF_TIME
  least = process.memoryUsage().arrayBuffers - standing
  // Memory is given back by threads of V8's, a moment later.
  setTimeout(look, SWEEP_MS).unref()
}

/**
 * V8's own collector call. The flag only matters while a context is made: the application's has no
 * `gc`.
 */
function expose(): Collect {
  // Only few workers stream so much, and the modules cost each of them two milliseconds.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  const { runInNewContext } = process.getBuiltinModule('node:vm')
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  // Node may be built or started so that there is none: then the garbage waits for V8.
  return typeof gc === 'function' ? (gc as Collect) : () => {}
}
