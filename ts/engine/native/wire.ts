/**
 * The records of the crossing, as `crates/engine/src/bridge/ring.rs` and `inbound.rs` have them. Numbers are little-endian.
 */

/** Records that JavaScript writes into the ring. */
export const OUT = {
  PAD: 0,
  RESPOND: 1,
  HEAD: 2,
  INFORM: 3,
  DATA: 4,
  LARGE: 5,
  TRAILERS: 6,
  END: 7,
  RESET: 8,
  CREDIT: 9,
  NOTIFY: 10,
  DESTROY: 11,
  TUNNEL: 12,
  SOCKET: 13,
  HELD: 14,
  ANSWER: 15,
  LEAVE: 16,
} as const

/** Records that the I/O thread sends. */
export const IN = {
  REQUEST: 1,
  CONNECTION: 2,
  CONNECTION_CLOSED: 3,
  DATA: 4,
  END: 5,
  DRAINED: 6,
  ABORTED: 7,
  IDLE: 8,
  TROUBLE: 9,
  STREAM_CLOSED: 10,
  WITHDRAWN: 15,
  REFUSED: 16,
} as const

/** Flag of a LARGE record: the piece is memory of ours, lent until it is sent. */
export const LENT = 1

/** Flags of a request's record. */
export const REQUEST = {
  KEEP_ALIVE: 2,
  UPGRADE: 4,
  BODY_SHIFT: 3,
  BODY_MASK: 3,
  AHEAD: 32,
  EXPECTS: 64,
  TOLD: 128,
} as const

/** Methods that cross as a number from 1; 0 stands before any other, which is spelt out. */
export const METHODS = ['', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'] as const

/** Words of the ring's header. */
export const WORD = { TAIL: 0, BATCH: 1, HEAD: 16, SLEEPING: 32, WINDOW: 33 } as const

/** Byte at which the ring's records begin. */
export const RING_DATA = 256

/** Bytes of a ring record before its payload. */
export const RECORD_BYTES = 20

/** At the end of a request's record, when its flag is set: family, port, scheme and lengths behind address and mount path. */
export const TOLD_BYTES = 7

/** An exchange's id holds its place in the table in so many low bits, above them a generation. */
export const PLACE_MASK = (1 << 20) - 1

/**
 * A text of its own for what programs keep: V8 has a longer slice as a view of the text that it was cut from, and whoever
 * keeps a field of one request would keep all that came with it.
 */
export function copyOf(slice: string): string {
  const { length } = slice
  if (length <= COPIED) return slice
  if (length <= COPIED * 2) return slice.slice(0, COPIED) + slice.slice(COPIED)
  return ` ${slice}`.slice(1)
}

/** V8 copies what is no longer, for less than a third of what the last way costs. */
const COPIED = 12

/** Reads 16 bits of a batch's text. */
export function u16(text: string, at: number): number {
  return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8)
}

/** Reads 32 bits of a batch's text; ids stay below 2^31, so the result is never negative. */
export function u32(text: string, at: number): number {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  )
}
