/** The header of a WebSocket frame (RFC 6455 section 5.2). */

const MASK_BYTES = 4

/** Returns the length of the header at this place: 2 if its second byte has not arrived. */
export function headerLength(bytes: Uint8Array, at: number): number {
  const second = bytes[at + 1] ?? 0
  return 2 + extendedLength(second) + (second & 0x80 ? MASK_BYTES : 0)
}

/** Returns the length of the payload that a complete header states. */
export function payloadLength(bytes: Uint8Array, at: number): number {
  const second = bytes[at + 1] ?? 0
  const extended = extendedLength(second)
  if (extended === 0) return second & 0x7f
  let length = 0
  for (let i = at + 2; i < at + 2 + extended; i++) length = length * 256 + (bytes[i] ?? 0)
  return length
}

function extendedLength(second: number): number {
  const short = second & 0x7f
  return short === 126 ? 2 : short === 127 ? 8 : 0
}
