import http from 'node:http'
import test from 'ava'

import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { bindNatively, config, log } from '../http/engines.ts'
import { until } from '../process/program.ts'
import { Http2Client, readResponse } from './client.ts'

const STREAMS = 60
const MEGABYTE = 1_000_000
const sharedBody = Buffer.alloc(MEGABYTE, 'x')

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  const http2Config = { ...config, http_protocols: 'h2,h1', http2_cleartext: null }
  const engine = createNativeEngine({ config: http2Config, log })
  let responseCount = 0
  let port = 0

  test.before(async () => {
    const server = http.createServer((req, res) => {
      if (req.url === '/small') return void res.end('small')
      responseCount += 1
      if (req.url === '/shared') return void res.end(sharedBody)
      if (req.url === '/written') {
        for (let chunk = 0; chunk < 10; chunk += 1) res.write(Buffer.alloc(MEGABYTE / 10))
        return void res.end()
      }
      res.end(Buffer.alloc(MEGABYTE))
    })
    const { fd, port: bound } = bindNatively()
    port = bound
    await engine.serve({ style: 'node', server }, [
      { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
    ])
  })

  test.after.always(() => engine.close())

  /**
   * Opens many streams without reading from them. Returns how many responses the application has
   * created, and the responses that other clients received meanwhile.
   */
  async function openUnreadStreams(path: string) {
    responseCount = 0
    const client = new Http2Client(`http://127.0.0.1:${port}`)
    const streams = Array.from({ length: STREAMS }, () => client.request({ ':path': path }))
    for (const stream of streams) stream.on('error', () => {})
    await until(() => responseCount > 2, 'the first requests')
    const small: string[] = []
    // Other clients are served meanwhile. The pauses are long enough for a further stream to begin,
    // which none does.
    for (let count = 0; count < 20; count += 1) {
      const other = new Http2Client(`http://127.0.0.1:${port}`)
      small.push((await other.fetch('/small')).body.toString())
      other.close()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { client, streams, small, count: responseCount }
  }

  for (const path of ['/fresh', '/written']) {
    test.serial(`unread responses to ${path} are not created for all streams`, async (t) => {
      const { client, streams, small, count } = await openUnreadStreams(path)
      t.true(count <= 12, `${count} responses were created`)
      t.deepEqual(small, Array(small.length).fill('small'))
      // A client that reads later receives all responses.
      const responses = await Promise.all(streams.map(readResponse))
      client.close()
      t.true(responses.every(({ body }) => body.length === MEGABYTE))
      t.is(responseCount, STREAMS)
    })
  }

  test.serial('responses that share one buffer are created for many streams', async (t) => {
    const { client, count } = await openUnreadStreams('/shared')
    client.close()
    t.true(count > 20, `${count} responses were created`)
  })
}
