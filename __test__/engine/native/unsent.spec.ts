import test from 'ava'
import { UnsentQueue } from '../../../ts/engine/native/unsent.ts'

test('pieces come in order, none of two parts and none longer than asked for', (t) => {
  const queue = new UnsentQueue()
  const whole = Buffer.from(Array.from({ length: 3_000 }, (_, index) => index % 251))
  for (const [from, to] of [
    [0, 1],
    [1, 2_000],
    [2_000, 3_000],
  ]) {
    queue.push(whole.subarray(from, to))
  }
  t.is(queue.length, 3_000)
  const pieces: Uint8Array[] = []
  while (queue.length > 0) pieces.push(queue.take(700))
  t.deepEqual(
    pieces.map((piece) => piece.length),
    [1, 700, 700, 599, 700, 300],
  )
  t.deepEqual(Buffer.concat(pieces), whole)
})

test('pieces share the memory of what was given', (t) => {
  const queue = new UnsentQueue()
  const part = Buffer.alloc(100)
  queue.push(part)
  t.is(queue.take(60).buffer, part.buffer)
  t.is(queue.take(60).byteOffset, part.byteOffset + 60)
})

test('many parts that are added and sent leave no memory', (t) => {
  const queue = new UnsentQueue()
  const pushed: number[] = []
  const taken: number[] = []
  for (let round = 0; round < 5_000; round++) {
    for (let count = 0; count < 3; count++) {
      pushed.push((round * 3 + count) % 256)
      queue.push(Buffer.from([pushed[pushed.length - 1] ?? 0]))
    }
    for (let count = 0; count < 3; count++) taken.push(queue.take(10)[0] ?? -1)
  }
  t.deepEqual(taken, pushed)
  t.is(queue.length, 0)
  t.is(queue.take(10).length, 0)
})

test('bytes of one answer count, and those that have waited with another do not', (t) => {
  const shared = Buffer.alloc(100_000)
  const first = new UnsentQueue()
  first.push(shared, true)
  t.is(first.ownBytes, 100_000)
  first.take(60_000)
  t.is(first.ownBytes, 100_000, 'a part that is half sent is whole in memory')
  first.take(60_000)
  t.is(first.ownBytes, 0)
  const second = new UnsentQueue()
  second.push(shared, true)
  t.is(second.ownBytes, 0)
  second.push(Buffer.alloc(50_000), true)
  t.is(second.ownBytes, 50_000)
})

test('memory that has been given away is no piece, and what may be resized is copied', (t) => {
  const queue = new UnsentQueue()
  const given = new Uint8Array(1_000)
  queue.push(given)
  t.is(queue.take(100).length, 100)
  structuredClone(given.buffer, { transfer: [given.buffer] })
  t.is(queue.length, 900)
  t.is(queue.take(100).length, 0)
  const resizable = Reflect.construct(ArrayBuffer, [1_000, { maxByteLength: 2_000 }])
  const other = new UnsentQueue()
  other.push(new Uint8Array(resizable).fill(65))
  resizable.resize(10)
  t.deepEqual(other.take(2_000), Buffer.alloc(1_000, 65))
})
