/**
 * Writes header fields as `Name: value` lines into the ring, and copies lines that the previous
 * response had.
 */

type StringWriter = (text: string, at: number, length: number) => number

/** Methods that Buffer has in every Node version and that its types lack. */
export interface WritableBuffer extends Buffer {
  latin1Write: StringWriter
  utf8Write: StringWriter
}

/** Maximum length of a text that a loop writes faster than a call into C++. */
const SHORT_LENGTH = 64

const NO_FIELDS: readonly string[] = []

/**
 * The lines that were written last. Most responses have the same fields as the previous one:
 * copying its lines costs less than writing them.
 */
export class LastLines {
  /** The length of the lines in bytes. */
  length = 0
  /** The ring's tail when they were written: they are overwritten one ring size later. */
  tail = 0
  #fields = NO_FIELDS
  #at = 0

  /** Returns whether these are the fields of the last lines. */
  are(fields: readonly string[]): boolean {
    const last = this.#fields
    const { length } = fields
    if (length !== last.length) return false
    for (let index = 0; index < length; index++) if (fields[index] !== last[index]) return false
    return true
  }

  set(fields: readonly string[], at: number, length: number): void {
    this.#fields = fields
    this.#at = at
    this.length = length
  }

  /**
   * Copies the lines by words. They begin at a word, and the bytes after them are overwritten
   * later.
   */
  copy(words: Int32Array, at: number): void {
    const end = (at + this.length + 3) >> 2
    for (let to = at >> 2, from = this.#at >> 2; to < end; to++, from++) {
      words[to] = words[from] as number
    }
    this.#at = at
  }
}

/** Returns the number of bytes of the lines for names and values in turn. */
export function linesLength(fields: readonly string[]): number {
  let length = fields.length * 2
  for (const text of fields) length += text.length
  return length
}

/** Writes the lines for names and values in turn. */
export function writeLines(bytes: WritableBuffer, fields: readonly string[], start: number): void {
  let at = start
  for (let index = 0; index < fields.length; index++) {
    at = writeLatin1(bytes, fields[index] as string, at)
    const isName = (index & 1) === 0
    bytes[at] = isName ? 58 : 13
    bytes[at + 1] = isName ? 32 : 10
    at += 2
  }
}

/** Writes a text and returns where it ends. */
function writeLatin1(bytes: WritableBuffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_LENGTH) return at + bytes.latin1Write(text, at, length)
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index)
  return at + length
}

/** Writes a text as UTF-8 and returns the number of bytes. */
export function writeUtf8(bytes: WritableBuffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_LENGTH) return bytes.utf8Write(text, at, length * 3)
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return bytes.utf8Write(text, at, length * 3)
    bytes[at + index] = code
  }
  return length
}
