/**
 * Keeps bodies from becoming tens of megabytes of garbage. V8's limits count the small heads of
 * buffers and, of their bytes, only each 64 MiB. An application that streams bodies, or writes
 * responses that no client reads, would grow by that amount.
 *
 * A collection of the young generation after every few megabytes takes well under a millisecond. It
 * does not find old objects, such as a response whose client has stalled. Those need a full
 * collection, which runs where buffers have grown all the same, or where much of what clients had
 * not read is abandoned. It takes a few milliseconds. A large heap, where it would take longer, is
 * V8's to collect.
 */
import { system } from '../../process/system.ts'

/** Body bytes between two collections of the young generation. */
const YOUNG_COLLECTION_BYTES = 8 << 20

/** Growth below this does not justify a collection. */
const MIN_GROWTH_BYTES = 4 << 20

/**
 * The growth of buffers that no client waits for, and the bytes of abandoned responses, before the
 * whole heap is collected.
 */
const MAX_GROWTH_BYTES = 8 << 20

/** The largest heap that is collected: a larger one would pause for tens of milliseconds. */
const MAX_HEAP_BYTES = 64 << 20

/** After a full collection, the next one waits for this multiple of its duration. */
const MIN_INTERVAL_FACTOR = 10

/** Time until V8's threads have freed the collected memory. */
const SWEEP_MS = 20

type Collect = (options?: { type: 'minor' }) => void

let received = 0
let copied = 0
let abandoned = 0
/** Bytes of responses that their clients have not read yet. */
let unread = 0
/** The smallest size of the other buffers since the last full collection. */
let floor = 0
/** No full collection begins before this time. */
let notBefore = 0
let isDue = false
let collect: Collect | undefined

/** Counts bytes of a request body that arrived as a buffer. */
export function countReceived(count: number): void {
  received += count
  if (received >= YOUNG_COLLECTION_BYTES) collectYoung(measure() - floor)
}

/**
 * Counts response bytes that the engine has copied: their source is garbage.
 */
export function countCopied(count: number): void {
  copied += count
  if (copied < YOUNG_COLLECTION_BYTES) return
  copied = 0
  const grown = measure() - floor
  // An application that sends the same buffers repeatedly makes no garbage.
  if (grown >= MIN_GROWTH_BYTES) collectYoung(grown)
}

/**
 * Collects the young generation. The caller measures the growth before, so that all compared
 * measurements include the same share of garbage.
 */
function collectYoung(grown: number): void {
  received = 0
  collect ??= expose()
  collect({ type: 'minor' })
  if (grown <= YOUNG_COLLECTION_BYTES + MAX_GROWTH_BYTES || isDue) return
  isDue = true
  setImmediate(collectAll)
}

/** Adds a change of the bytes that clients have not read yet. */
export function countHeld(change: number): void {
  unread += change
}

/** Counts response bytes that their client will never read. */
export function countAbandoned(count: number): void {
  unread -= count
  abandoned += count
  if (abandoned < MAX_GROWTH_BYTES || isDue) return
  isDue = true
  // The application is not notified yet and still references them.
  setImmediate(collectAll)
}

/** Measures the bytes of the buffers that no client waits for. */
function measure(): number {
  const taken = process.memoryUsage().arrayBuffers - unread
  floor = Math.min(floor, taken)
  return taken
}

/** Runs a full collection now, or as soon as the interval permits. */
function collectAll(): void {
  const begun = system.now()
  isDue = begun < notBefore
  if (isDue) {
    setTimeout(collectAll, notBefore - begun + 1).unref()
    return
  }
  abandoned = 0
  if (process.memoryUsage().heapUsed > MAX_HEAP_BYTES) return
  collect ??= expose()
  collect()
  const now = system.now()
  notBefore = now + (now - begun) * MIN_INTERVAL_FACTOR
  floor = process.memoryUsage().arrayBuffers - unread
  // Threads of V8 free the memory a moment later.
  setTimeout(measure, SWEEP_MS).unref()
}

/**
 * Returns V8's own collector call. The flag applies only to contexts that are created meanwhile:
 * the application's has no `gc`.
 */
function expose(): Collect {
  // Few workers stream that much, and the modules take two milliseconds to load.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  const { runInNewContext } = process.getBuiltinModule('node:vm')
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  // Some builds of Node have none: then V8 collects the garbage in its own time.
  return typeof gc === 'function' ? (gc as Collect) : () => {}
}
