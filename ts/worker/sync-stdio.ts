/** Standard output and error of a worker, where the arbiter captures them (`capture_output`). */

/** The libuv handle of a stream, in a private field of Node's stdio streams. */
type StreamHandle = { setBlocking?(isBlocking: boolean): unknown } | null | undefined

/**
 * Makes writes to standard output and error block until the arbiter takes them. By default, Node.js
 * keeps in memory what a socket does not take at once, and a program that exits or is killed loses
 * that.
 */
export function makeStdioBlocking(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const handle: StreamHandle = Reflect.get(stream, '_handle')
    handle?.setBlocking?.(true)
  }
}
