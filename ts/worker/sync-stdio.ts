/** What the application prints, where the arbiter captures it. */

/** A stream on a socket, as node has it inside. */
interface StreamInternals {
  readonly _handle?: { setBlocking?(blocking: boolean): unknown } | null
}

/**
 * Makes standard output and error wait for the arbiter, as a file would. Node would keep in memory what a socket does not
 * take at once, and a program that ends itself or is killed would lose it.
 */
export function makeStdioBlocking(): void {
  for (const stream of [process.stdout, process.stderr] as StreamInternals[]) {
    stream._handle?.setBlocking?.(true)
  }
}
