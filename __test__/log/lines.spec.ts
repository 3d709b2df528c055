// Lines of a stream that arrives in chunks: complete, of bounded length, and none lost.

import test from 'ava'

import { LineSplitter, MAX_LINE_LENGTH } from '../../ts/log/lines.ts'

test('lines are complete however the chunks are cut, and the last one needs no line feed', (t) => {
  const seen: string[] = []
  const lines = new LineSplitter((line) => seen.push(line))
  for (const chunk of ['a', 'b\nc\r\n\n', 'd']) lines.push(chunk)
  t.deepEqual(seen, ['ab', 'c', ''])
  lines.flush()
  lines.flush()
  t.deepEqual(seen, ['ab', 'c', '', 'd'])
})

test('a line above the length limit is emitted in parts', (t) => {
  const seen: string[] = []
  const lines = new LineSplitter((line) => seen.push(line))
  const text = 'x'.repeat(MAX_LINE_LENGTH * 2 + 3)
  for (let at = 0; at < text.length; at += 1_000) lines.push(text.slice(at, at + 1_000))
  lines.push(`\n${text}\n`)
  lines.flush()
  t.is(seen.join(''), text + text)
  t.true(seen.every((line) => line.length <= MAX_LINE_LENGTH))
})
