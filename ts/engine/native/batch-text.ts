/** Reads numbers and strings out of the text of a batch, which has one character for each byte. */

/**
 * Copies a slice of a batch's text. V8 represents a longer slice as a view of the text that it was
 * cut from, so an application that keeps one header field of a request would keep the whole batch
 * alive.
 */
export function copyOf(slice: string): string {
  const { length } = slice
  if (length <= COPIED_LENGTH) return slice
  if (length <= COPIED_LENGTH * 2) return slice.slice(0, COPIED_LENGTH) + slice.slice(COPIED_LENGTH)
  return ` ${slice}`.slice(1)
}

/**
 * Maximum length of a slice that V8 copies by itself. Two such slices cost less than a third of the
 * general way.
 */
const COPIED_LENGTH = 12

/** Reads 16 bits. */
export function u16(text: string, at: number): number {
  return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8)
}

/** Reads a count of 64 bits. */
export function count64(text: string, at: number): number {
  return (u32(text, at) >>> 0) + (u32(text, at + 4) >>> 0) * 2 ** 32
}

/** Reads 32 bits. Ids are below 2^31, so the result is never negative. */
export function u32(text: string, at: number): number {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  )
}
