// An application that keeps a path or a field of each request keeps only that memory.

import http from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { native, nativeFailure } from '../../../ts/native/index.ts'
import { startNative, stopNative } from '../../http/engines.ts'

const REQUESTS = 1_600
const HEAD_BYTES = 12_000

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test.after.always(stopNative)

  test.serial('a kept path and kept fields cost what they are', async (t) => {
    const kept: unknown[] = []
    const server = http.createServer((req, res) => {
      kept.push(req.url, req.headers['x-key'], req.rawHeaders.at(-1))
      res.end('ok')
    })
    const { port, close } = await startNative(server)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
    const padding = 'p'.repeat(HEAD_BYTES / 2)
    const askAll = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, at) =>
          ask({
            ...{ port, agent, path: `/a/path/that/is/long/enough/${at}` },
            headers: {
              'x-key': `a key of its own ${at}`,
              cookie: padding,
              'x-padding': padding,
              'x-last': `the last field ${at}`,
            },
          }),
        ),
      )
    // What both sides make once.
    await askAll(64)
    gc()
    const before = process.memoryUsage().heapUsed
    await askAll(REQUESTS)
    gc()
    const each = (process.memoryUsage().heapUsed - before) / REQUESTS
    t.is(kept.length, 3 * (REQUESTS + 64))
    t.true(each < HEAD_BYTES / 8, `${each} bytes of each request are kept`)
    agent.destroy()
    close()
  })
}

function ask(options: http.RequestOptions): Promise<void> {
  return new Promise((done, fail) => {
    const request = http.get({ host: '127.0.0.1', ...options }, (response) => {
      response.resume().on('end', done)
    })
    request.on('error', fail)
    request.setTimeout(30_000, () => request.destroy(new Error('no answer')))
  })
}
