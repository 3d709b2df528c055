// What JavaScript writes into the ring, read as the engine reads it.

import test from 'ava'
import { Ring } from '../../../ts/engine/native/ring.ts'
import { OUT, RECORD_BYTES, RING_DATA, WORD } from '../../../ts/engine/native/wire.ts'

/** A ring that is read after each record; `read` gives the payloads of the one that was written last. */
function readRing() {
  const ring = new Ring()
  const words = new Int32Array(ring.memory.buffer)
  const bytes = Buffer.from(ring.memory.buffer, RING_DATA)
  // The dispatcher is at work: nothing is said later.
  ring.inBatch = true
  let head = 0
  return {
    ring,
    read(): { fields: string; reason: string; body: string; pads: boolean } {
      let at = head & (bytes.length - 1)
      const pads = bytes[at] === OUT.PAD
      if (pads) at = 0
      const word = (RING_DATA + at) >> 2
      const [fields = 0, reason = 0, body = 0] = words.subarray(word + 2, word + 5)
      head = words[WORD.TAIL] ?? 0
      words[WORD.HEAD] = head
      const start = at + RECORD_BYTES
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
    ring.head(OUT.RESPOND, count, 200, reason, list, 0, body, random(2) === 0)
    const found = read()
    if (found.pads) rounds++
    const expected = { fields: linesOf(list), reason: reason ?? '', body: body ?? '' }
    const { pads: _, ...got } = found
    // A comparison of ava's for each of ten thousands of records would take long.
    if (JSON.stringify(got) !== JSON.stringify(expected)) t.deepEqual(got, expected)
  }
  t.is(rounds, 8)
})

test('what is behind by much of the ring is not taken again', (t) => {
  const { ring, read } = readRing()
  const list = ['Content-Type', 'text/plain']
  ring.head(OUT.RESPOND, 1, 200, undefined, list, 0, undefined, true)
  t.is(read().fields, linesOf(list))
  for (let count = 0; count < 80; count++) {
    ring.data(OUT.DATA, 1, 'x'.repeat(16_384), true)
    read()
  }
  ring.head(OUT.RESPOND, 2, 200, undefined, list, 0, 'body', true)
  t.like(read(), { fields: linesOf(list), body: 'body' })
})
