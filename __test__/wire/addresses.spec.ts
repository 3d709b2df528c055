// One client's share of a worker's connections.

import test from 'ava'
import { ENGINES, serveArgs, startProgram, until } from '../process/program.ts'
import { Connection } from './connection.ts'

const FILES = { 'app.cjs': "module.exports = (req, res) => res.end('served')" }
const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const LIMIT = ['--limit-connections-per-address', '2']

for (const engine of ENGINES) {
  if (engine === 'node') {
    test('node: limit_connections_per_address logs that it is not supported', async (t) => {
      const args = serveArgs(engine, ...LIMIT)
      const program = await startProgram(t, { files: FILES, args }).ready(1)
      t.regex(program.log, /node:http does not support limit_connections_per_address: see docs/)
      t.is((await program.get()).status, 200)
    })
    continue
  }

  test('native: limit_connections_per_address answers further ones 503 and logs it', async (t) => {
    const args = serveArgs(engine, ...LIMIT, '--forwarded-allow-ips', '')
    const program = await startProgram(t, { files: FILES, args }).ready(1)
    const open = [new Connection(program.port), new Connection(program.port)]
    for (const each of open) t.is((await each.send(REQUEST).answer()).status, 200)
    for (let count = 0; count < 2; count += 1) {
      const refused = new Connection(program.port)
      const answer = await refused.answer()
      t.deepEqual([answer.status, answer.fields['retry-after']], [503, '1'])
      t.is(await refused.end(), '')
      refused.destroy()
    }
    // A flood costs as many lines as it takes seconds.
    const began = Date.now()
    const flood = Array.from({ length: 200 }, () => new Connection(program.port))
    for (const each of flood) await each.end()
    await program.line(/limit_connections_per_address: \d+ connections refused, the last from 127/)
    for (const each of flood) each.destroy()
    const reports = () =>
      [...program.log.matchAll(/per_address: (\d+) connections/g)].map(([, count]) => Number(count))
    await until(() => reports().reduce((sum, count) => sum + count, 0) === 202, 'all are counted')
    t.true(reports().length <= 2 + (Date.now() - began) / 1_000, `${reports().length} lines`)
    t.is((await open[0]?.send(REQUEST).answer())?.status, 200)
    for (const each of open) each.destroy()
    await until(async () => {
      const again = new Connection(program.port)
      const { status } = await again
        .send(REQUEST)
        .answer()
        .catch(() => ({ status: 0 }))
      again.destroy()
      return status === 200
    }, 'a place has become free')
  })

  test('native: limit_connections_per_address does not count trusted proxies', async (t) => {
    const program = await startProgram(t, {
      files: FILES,
      args: serveArgs(engine, ...LIMIT),
    }).ready(1)
    const open = Array.from({ length: 5 }, () => new Connection(program.port))
    for (const each of open) t.is((await each.send(REQUEST).answer()).status, 200)
    for (const each of open) each.destroy()
  })
}
