// Fields of an answer that never find room in the ring: an error for who sends them, and nothing
// waits.

import http from 'node:http'
import test from 'ava'
import { native, nativeFailure } from '../../../ts/native/index.ts'
import { exchange, get, request } from '../../http/client.ts'
import { startNative, stopNative } from '../../http/engines.ts'
import { until } from '../../process/program.ts'

const HALF_A_MEBIBYTE = 524_288

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test.after.always(stopNative)

  test.serial('fields that are too long are an error where they are sent', async (t) => {
    const seen: unknown[] = []
    const server = http.createServer((req, res) => {
      if (req.url === '/') return void res.end('ok')
      res.on('close', () => seen.push('close'))
      try {
        const long = 'x'.repeat(Number(req.url?.slice(2)))
        if (req.url?.startsWith('/t')) {
          res.setHeader('trailer', 'x-long')
          res.write('body')
          res.addTrailers({ 'x-long': long })
        } else res.setHeader('x-long', long)
        res.end('sent')
      } catch (error) {
        seen.push((error as NodeJS.ErrnoException).code)
      }
    })
    const { port, close } = await startNative(server)
    const most = await exchange(port, get(`/h${HALF_A_MEBIBYTE - 1_000}`))
    t.true(most.endsWith('sent'))
    t.true(most.length > HALF_A_MEBIBYTE - 1_000)
    const unread = ['Content-Length: 200000']
    for (const path of ['/h', '/t']) {
      for (const length of [HALF_A_MEBIBYTE, 4 * HALF_A_MEBIBYTE]) {
        const target = `${path}${length}`
        // Also where the end of an answer may wait for a reader of the body.
        for (const asked of [get(target), request('POST', target, unread, 'begun')]) {
          seen.length = 0
          const answer = await exchange(port, asked)
          t.false(answer.includes('x'.repeat(1_000)))
          await until(() => seen.includes('close'), `the end of ${path}`, 3_000)
          t.deepEqual(seen, ['ERR_FIELDS_TOO_LONG', 'close'], path)
          t.regex(await exchange(port, get('/')), /ok$/)
        }
      }
    }
    close()
  })
}
