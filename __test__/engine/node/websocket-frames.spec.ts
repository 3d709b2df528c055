import test from 'ava'
import { WebSocketFrames } from '../../../ts/engine/node/websocket-frames.ts'

/** A frame as a server sends it; what looks like frames inside it is none. */
function frame(length: number): Buffer {
  const head =
    length < 126
      ? [0x82, length]
      : length < 65_536
        ? [0x82, 126, length >> 8, length & 255]
        : [
            0x82,
            127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 255,
            (length >> 8) & 255,
            length & 255,
          ]
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length, Buffer.from([0x88, 0]))])
}

for (const step of [1, 2, 3, 7, 1_000, 1_000_000]) {
  test(`boundaries are found in pieces of ${step}`, (t) => {
    const parts = [0, 1, 125, 126, 127, 65_535, 65_536].map(frame)
    const stream = Buffer.concat(parts)
    const expected: number[] = []
    for (const part of parts) expected.push((expected.at(-1) ?? 0) + part.length)
    const frames = new WebSocketFrames()
    const found: number[] = []
    let at = 0
    for (let start = 0; start < stream.length; start += step) {
      const piece = stream.subarray(start, start + step)
      for (let done = 0; done < piece.length; ) {
        // From a boundary on, up to the next.
        const first = frames.skip(piece.subarray(done, done + 1), false)
        const count = first + frames.skip(piece.subarray(done + first), true)
        done += count
        at += count
        if (frames.isAtBoundary) found.push(at)
      }
    }
    t.deepEqual(found, expected)
    t.false(frames.hasCloseFrame)
  })
}

test('a masked frame and a close frame', (t) => {
  const frames = new WebSocketFrames()
  frames.skip(Buffer.from([0x81, 0x83, 1, 2, 3, 4, 9, 9]), false)
  t.false(frames.isAtBoundary)
  frames.skip(Buffer.from([9, 0x88, 2, 3]), false)
  t.true(frames.hasCloseFrame)
  t.false(frames.isAtBoundary)
  frames.skip(Buffer.from([0xe8]), false)
  t.true(frames.isAtBoundary)
})
