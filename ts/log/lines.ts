/** Splits what a process prints into lines, each of a bounded length: a longer one comes in pieces, and none is lost. */

/** A program that prints megabytes without a line feed must not fill the arbiter. */
export const MAX_LINE_LENGTH = 16_384

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

  /** Nothing more comes: the last line may have had no end. */
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
