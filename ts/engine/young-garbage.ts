/**
 * Keeps uploads and downloads from leaving tens of megabytes of garbage. V8 collects young buffers when 32 MiB of them
 * have gathered (its heap limits do not see them, only their small heads), so whoever streams a body through grows by
 * that much. A collection of the young generation after every few megabytes costs well under a millisecond and keeps
 * the worker small.
 */

/** Body bytes between two collections. */
const COLLECT_EVERY = 8 << 20

type Collect = (options: { type: 'minor' }) => void

let counted = 0
let collect: Collect | undefined

/** Counts body bytes that came as buffers, or went in buffers that are done with. */
export function countBodyBytes(count: number): void {
  counted += count
  if (counted < COLLECT_EVERY) return
  counted = 0
  collect ??= expose()
  collect({ type: 'minor' })
}

/** V8's own collector call. The flag only matters while a context is made: the application's has no `gc`. */
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
