import http from 'node:http'
import test from 'ava'

import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { bindNatively, config, log } from '../http/engines.ts'
import { until } from '../process/program.ts'
import { answerOf, Http2Client } from './client.ts'

const STREAMS = 60
const MEGABYTE = 1_000_000
const shared = Buffer.alloc(MEGABYTE, 'x')

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  const spoken = { ...config, http_protocols: 'h2,h1', http2_cleartext: null }
  const engine = createNativeEngine({ config: spoken, log })
  let made = 0
  let port = 0

  test.before(async () => {
    const server = http.createServer((req, res) => {
      if (req.url === '/small') return void res.end('small')
      made += 1
      if (req.url === '/shared') return void res.end(shared)
      if (req.url === '/written') {
        for (let piece = 0; piece < 10; piece += 1) res.write(Buffer.alloc(MEGABYTE / 10))
        return void res.end()
      }
      res.end(Buffer.alloc(MEGABYTE))
    })
    const { fd, port: bound } = bindNatively()
    port = bound
    await engine.serve({ style: 'node', server }, [{ fd, address: `http://127.0.0.1:${port}` }])
  })

  test.after.always(() => engine.close())

  /** Asks for many answers and reads none, and says how many have been made. */
  async function stall(path: string) {
    made = 0
    const client = new Http2Client(`http://127.0.0.1:${port}`)
    const streams = Array.from({ length: STREAMS }, () => client.request({ ':path': path }))
    for (const stream of streams) stream.on('error', () => {})
    await until(() => made > 2, 'the first requests')
    const small: string[] = []
    // Others are served beside it, and it has had the time in which answers are expected.
    for (let count = 0; count < 20; count += 1) {
      const other = new Http2Client(`http://127.0.0.1:${port}`)
      small.push((await other.ask('/small')).body.toString())
      other.close()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { client, streams, small, count: made }
  }

  for (const path of ['/fresh', '/written']) {
    test.serial(`answers to ${path} that nobody takes are not made for all streams`, async (t) => {
      const { client, streams, small, count } = await stall(path)
      t.true(count <= 12, `${count} were made`)
      t.deepEqual(small, Array(small.length).fill('small'))
      // Whoever reads after all gets all of them.
      const answers = await Promise.all(streams.map(answerOf))
      client.close()
      t.true(answers.every(({ body }) => body.length === MEGABYTE))
      t.is(made, STREAMS)
    })
  }

  test.serial(
    'an answer that is there once for all may be asked for by many streams',
    async (t) => {
      const { client, count } = await stall('/shared')
      client.close()
      t.true(count > 20, `${count} were begun`)
    },
  )
}
