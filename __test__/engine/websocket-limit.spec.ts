// The size of WebSocket messages, from the frames of the client in any pieces.

import test from 'ava'

import { WebSocketLimit } from '../../ts/engine/websocket-limit.ts'

const CLOSE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf1])
const socket = { destroy: () => {}, once: (_: string, listener: () => void) => listener() }

test('messages up to the limit pass unchanged, in pieces of any size', (t) => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536]
  const stream = Buffer.concat(lengths.map((length) => frame({ length })))
  for (const size of [1, 2, 3, 7, 1_000, stream.length]) {
    t.deepEqual(pass(stream, size, 65_536), stream, `pieces of ${size}`)
  }
})

test('a larger message becomes a close frame, and nothing follows', (t) => {
  const small = frame({ length: 10 })
  const stream = Buffer.concat([small, frame({ length: 65_536 }), small])
  for (const size of [1, 3, 14, stream.length]) {
    t.deepEqual(pass(stream, size, 65_535), Buffer.concat([small, CLOSE]), `pieces of ${size}`)
  }
})

test('the fragments of a message count together, and control frames do not count', (t) => {
  const first = frame({ opcode: 0x02, length: 60 })
  const ping = frame({ opcode: 0x89, length: 100 })
  const rest = frame({ opcode: 0x80, length: 60 })
  const message = Buffer.concat([first, ping, rest])
  t.deepEqual(pass(Buffer.concat([message, message]), 7, 120), Buffer.concat([message, message]))
  t.deepEqual(pass(message, 7, 119), Buffer.concat([first, ping, CLOSE]))
})

/** Feeds the stream in pieces of a size; returns what the application reads. */
function pass(stream: Buffer, size: number, maxBytes: number): Buffer {
  const limit = new WebSocketLimit(socket, maxBytes)
  const parts: Buffer[] = []
  for (let at = 0; at < stream.length; at += size) {
    parts.push(limit.filter(stream.subarray(at, at + size)))
  }
  return Buffer.concat(parts)
}

/** A masked frame, as clients send them. */
function frame({ opcode = 0x82, length }: { opcode?: number; length: number }): Buffer {
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const header = Buffer.alloc(2 + extended)
  header[0] = opcode
  header[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) header.writeUInt16BE(length, 2)
  if (extended === 8) header.writeBigUInt64BE(BigInt(length), 2)
  // The payload looks like headers, which the limit must ignore.
  return Buffer.concat([header, Buffer.from([1, 2, 3, 4]), Buffer.alloc(length, 0x82)])
}
