// Limits are exact, on real sockets: what is at one is served, one more gets its status. Those of
// one request are golden requests with settings; here are those of bodies, connections and workers,
// and the defaults.

import test, { type ExecutionContext } from 'ava'
import { ENGINES, serveArgs, startProgram } from '../process/program.ts'
import { Connection } from './connection.ts'

const APP = `const held = []
module.exports = (req, res) => {
  if (req.url === '/hold') return void held.push(res)
  if (req.url === '/free') {
    for (const each of held.splice(0)) each.end('held')
    return res.end('freed')
  }
  let length = 0
  req.on('data', (piece) => { length += piece.length }).on('end', () => res.end(String(length)))
}`

const GET = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

function start(t: ExecutionContext, engine: string, ...args: string[]) {
  return startProgram(t, { files: { 'app.cjs': APP }, args: serveArgs(engine, ...args) }).ready(1)
}

/** Builds a request with the given lengths of its line, its fields or one field. */
const SIZED: Readonly<Record<string, (count: number) => string>> = {
  line: (count) =>
    `GET /${'a'.repeat(count - 'GET / HTTP/1.1'.length)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  fields: (count) => `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(count - 1)}\r\n`,
  field: (count) =>
    `GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(count - 'A: \r\n'.length)}\r\n\r\n`,
  length: (count) =>
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${count}\r\n\r\n${'b'.repeat(count)}`,
  chunks: (count) =>
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' +
    `1\r\nb\r\n${(count - 1).toString(16)}\r\n${'b'.repeat(count - 1)}\r\n0\r\n\r\n`,
}

const BOUNDS: readonly (readonly [string, number, number, readonly string[]])[] = [
  ['line', 16_384, 414, []],
  ['fields', 100, 431, []],
  ['field', 16_384, 431, []],
  ['line', 65_535, 414, ['--limit-request-line', '0']],
  ['field', 65_535, 431, ['--limit-request-field-size', '0']],
  ['length', 100_000, 413, ['--limit-request-body', '100000']],
  ['chunks', 100_000, 413, ['--limit-request-body', '100000']],
]

for (const engine of ENGINES) {
  for (const [what, most, status, args] of BOUNDS) {
    // docs/engines.md has what node:http cannot: one is the head's, the other ends the connection.
    if (engine === 'node' && (args[1] === '0' || what === 'chunks')) continue
    test.serial(`${engine}: ${what} of ${most} and one more`, async (t) => {
      const { port } = await start(t, engine, ...args)
      for (const [count, expected] of [
        [most, 200],
        [most + 1, status],
      ] as const) {
        const connection = new Connection(port).send(SIZED[what]?.(count) ?? '')
        t.is((await connection.answer()).status, expected, `${count}`)
        if (expected !== 200) t.is(await connection.end(), '')
        connection.destroy()
      }
    })
  }

  test.serial(
    `${engine}: limit_requests_per_connection sends Connection: close with the last response`,
    async (t) => {
      const { port } = await start(t, engine, '--limit-requests-per-connection', '3')
      const connection = new Connection(port)
      for (const last of [false, false, true]) {
        const { status, fields } = await connection.send(GET()).answer()
        t.deepEqual([status, fields.connection === 'close'], [200, last])
      }
      t.is(await connection.end(), '')
    },
  )
}

if (ENGINES.includes('native' as never)) {
  test.serial(
    'native: worker_connections counts requests in flight, and one more gets 503',
    async (t) => {
      const { port } = await start(t, 'native', '--worker-connections', '2')
      // No connection is taken while the worker is full, so all are there before.
      const all = [0, 1, 2, 3].map(() => new Connection(port))
      for (const each of all) t.is((await each.send(GET()).answer()).status, 200)
      const [first, second, third, fourth] = all as [Connection, Connection, Connection, Connection]
      first.send(GET('/hold'))
      second.send(GET('/hold'))
      // The number in flight is known only when the next one is refused.
      let answer = await third.send(GET()).answer()
      while (answer.status === 200) answer = await third.send(GET()).answer()
      t.deepEqual([answer.status, answer.fields['retry-after']], [503, '1'])
      t.is(await third.end(), '')
      first.destroy()
      let again = await fourth
        .send(GET('/free'))
        .answer()
        .catch(() => undefined)
      t.true(again === undefined || [200, 503].includes(again.status))
      if (again?.status === 200) t.is((await second.answer()).body, 'held')
      else {
        // The place of the one that left was not free yet.
        do again = await new Connection(port).send(GET('/free')).answer()
        while (again.status === 503)
        t.is(again.body, 'freed')
        t.is((await second.answer()).body, 'held')
      }
    },
  )
}
