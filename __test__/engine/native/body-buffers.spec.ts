import test from 'ava'
import { BodyBuffers } from '../../../ts/engine/native/body-buffers.ts'
import type { NativeEngine } from '../../../ts/native/index.ts'

/**
 * Body buffers of an engine that has these: texts are short ones, and Buffers such as it makes
 * itself.
 */
function piecesOf(...given: (string | Buffer)[]) {
  let calls = 0
  const engine = {
    chunk(room: Uint8Array): Buffer | number {
      calls++
      let count = 0
      let at = 0
      for (; typeof given[0] === 'string'; count++) {
        const bytes = Buffer.from(given[0])
        if (at + 2 + bytes.length > room.length) break
        room[at] = bytes.length & 255
        room[at + 1] = bytes.length >> 8
        room.set(bytes, at + 2)
        at += 2 + bytes.length
        given.shift()
      }
      return count > 0 ? count : (given.shift() as Buffer)
    },
  } as unknown as NativeEngine
  return { pieces: new BodyBuffers(engine), calls: () => calls }
}

test('short pieces come many with one call, and in order with those of the engine', (t) => {
  const long = Buffer.alloc(5_000, 'l')
  const { pieces, calls } = piecesOf('one', '', 'x'.repeat(4_096), long, 'last')
  t.is(pieces.next().toString(), 'one')
  t.is(pieces.next().length, 0)
  t.is(pieces.next().toString(), 'x'.repeat(4_096))
  t.is(calls(), 1)
  t.is(pieces.next(), long)
  t.is(pieces.next().toString(), 'last')
  t.is(calls(), 3)
})

test('what a part did not ask for is not given to the next one', (t) => {
  const { pieces } = piecesOf('one', 'left', Buffer.from('engine'))
  t.is(pieces.next().toString(), 'one')
  pieces.restart()
  t.is(pieces.next().toString(), 'engine')
})

test('a short piece has memory of its own, which the program may transfer', (t) => {
  const { pieces } = piecesOf('one', 'two')
  const [one, two] = [pieces.next(), pieces.next()]
  const sent = structuredClone(one.buffer, { transfer: [one.buffer as ArrayBuffer] })
  t.is(Buffer.from(sent).toString(), 'one')
  t.is(one.length, 0)
  t.is(two.toString(), 'two')
  t.is(two.buffer.byteLength, 3)
})
