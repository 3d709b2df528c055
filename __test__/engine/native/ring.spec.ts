// What JavaScript writes into the ring, read as the engine reads it.

import test from 'ava'
import { type HeadRecord, Ring } from '../../../ts/engine/native/ring.ts'
import {
  RING_COUNT_WORD,
  RING_DATA_AT,
  RING_FIELDS_WORD,
  RING_RECORD,
  RING_RECORD_BYTES,
  RING_WORD,
} from '../../../ts/engine/native/wire.ts'

/**
 * A ring that is read after each record; `read` gives the payloads of the one that was written
 * last.
 */
function readRing() {
  const ring = new Ring()
  const words = new Int32Array(ring.memory.buffer)
  const bytes = Buffer.from(ring.memory.buffer, RING_DATA_AT)
  // The dispatcher is running: no later notification follows.
  ring.isInBatch = true
  let head = 0
  return {
    ring,
    read(): { fields: string; reason: string; body: string; pads: boolean } {
      let at = head & (bytes.length - 1)
      const pads = bytes[at] === RING_RECORD.PAD
      if (pads) at = 0
      const word = (RING_DATA_AT + at) >> 2
      const [fields = 0, reason = 0, body = 0] = words.subarray(
        word + RING_FIELDS_WORD,
        word + RING_COUNT_WORD + 1,
      )
      head = words[RING_WORD.TAIL] ?? 0
      words[RING_WORD.HEAD] = head
      const start = at + RING_RECORD_BYTES
      const text = (from: number, length: number) => bytes.toString('latin1', from, from + length)
      return {
        fields: text(start, fields),
        reason: text(start + fields, Math.max(reason, 0)),
        body: text(start + fields + Math.max(reason, 0), body),
        pads,
      }
    },
  }
}

/** Writes a whole response. */
function respond(ring: Ring, head: Partial<HeadRecord>): void {
  const given = { kind: RING_RECORD.RESPOND, status: 200, reason: undefined, body: undefined }
  Object.assign(ring.head, given, { flags: 0, isLatin1: true, bodyLength: 0 }, head)
  ring.writeHead()
}

const LISTS: readonly (readonly string[])[] = [
  [],
  ['Content-Type', 'text/plain'],
  ['Content-Type', 'text/html'],
  ['Content-Type', 'text/plain', 'ETag', 'W/"d-CgqfKmdylCVXq1NV12r0Qvj2XgE"'],
  ['Link', `<${'x'.repeat(300)}>`, 'X-\u00e9', '\u00fc'],
]

const linesOf = (list: readonly string[]): string =>
  list.map((text, index) => text + (index % 2 === 0 ? ': ' : '\r\n')).join('')

test('fields are what they were given as, repeated or not, as often as the ring is full', (t) => {
  const { ring, read } = readRing()
  let rounds = 0
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  for (let count = 0; rounds < 8; count++) {
    // Mostly as before, in an array of its own.
    const list = [...(LISTS[random(4) === 0 ? random(LISTS.length) : 1] ?? [])]
    const reason = random(3) === 0 ? 'Fine' : undefined
    const body = random(3) === 0 ? undefined : 'b'.repeat(random(50) === 0 ? 16_000 : random(200))
    respond(ring, { id: count, reason, fields: list, body, isLatin1: random(2) === 0 })
    const found = read()
    if (found.pads) rounds++
    const expected = { fields: linesOf(list), reason: reason ?? '', body: body ?? '' }
    const { pads: _, ...got } = found
    // A comparison of ava's for each of ten thousands of records would take long.
    if (JSON.stringify(got) !== JSON.stringify(expected)) t.deepEqual(got, expected)
  }
  t.is(rounds, 8)
})

test('a position that lags by much of the ring is not reused', (t) => {
  const { ring, read } = readRing()
  const list = ['Content-Type', 'text/plain']
  respond(ring, { id: 1, fields: list })
  t.is(read().fields, linesOf(list))
  for (let count = 0; count < 80; count++) {
    ring.writeData(RING_RECORD.DATA, 1, 'x'.repeat(16_384), true)
    read()
  }
  respond(ring, { id: 2, fields: list, body: 'body' })
  t.like(read(), { fields: linesOf(list), body: 'body' })
})
