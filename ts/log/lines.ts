/**
 * Splits the output of a process into lines of bounded length. A longer line arrives in parts, and
 * none is lost.
 */

/**
 * Maximum length of a line in characters. A program that prints megabytes without a line feed must
 * not fill the arbiter's memory.
 */
export const MAX_LINE_LENGTH = 16_384

/** Collects chunks of text and calls back with lines. */
export class LineSplitter {
  #rest = ''
  readonly #onLine: (line: string) => void

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#emit(line.endsWith('\r') ? line.slice(0, -1) : line)
    while (this.#rest.length >= MAX_LINE_LENGTH) {
      this.#emit(this.#rest.slice(0, MAX_LINE_LENGTH))
      this.#rest = this.#rest.slice(MAX_LINE_LENGTH)
    }
  }

  /** Emits the last line, which may lack a line feed, at the end of the output. */
  flush(): void {
    if (this.#rest !== '') this.#emit(this.#rest)
    this.#rest = ''
  }

  #emit(line: string): void {
    if (line.length <= MAX_LINE_LENGTH) return this.#onLine(line)
    for (let at = 0; at < line.length; at += MAX_LINE_LENGTH)
      this.#onLine(line.slice(at, at + MAX_LINE_LENGTH))
  }
}
