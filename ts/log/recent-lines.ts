/** The latest lines that this process has logged, for the command `logs` of the control socket. */

/** Maximum number of lines that are kept. */
const MAX_LINES = 200
/** Maximum length of a line, in characters. */
const MAX_LINE_LENGTH = 2_000

/** Keeps the latest lines and passes new ones on. */
export class RecentLines {
  readonly #lines: string[] = []
  readonly #observers = new Set<(line: string) => void>()

  push(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#pushLine(line.slice(0, MAX_LINE_LENGTH))
  }

  list(): readonly string[] {
    return [...this.#lines]
  }

  /** Calls back with each new line, until the returned function is called. */
  observe(onLine: (line: string) => void): () => void {
    this.#observers.add(onLine)
    return () => this.#observers.delete(onLine)
  }

  #pushLine(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > MAX_LINES) this.#lines.shift()
    for (const observe of this.#observers) observe(line)
  }
}
