// What `bench/overload.ts` loads: handlers that compute for 5 ms, a pause of garbage collection and
// a download. Loading it takes START_MS.

import { createServer } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const HANDLER_MS = 5
const START_MS = Number(process.env.START_MS ?? 0)
const PAUSE_MS = 500
const DOWNLOAD_BYTES = 2 ** 30
const PIECE = Buffer.alloc(65_536, 'x')

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')
compute(START_MS)

const routes = {
  '/': (res) => {
    compute(HANDLER_MS)
    res.end('done')
  },
  '/collect': (res) => {
    const begun = performance.now()
    while (performance.now() - begun < PAUSE_MS) collectGarbage()
    res.end('collected')
  },
  '/download': (res) => {
    let left = DOWNLOAD_BYTES
    const write = () => {
      while (left > 0) {
        left -= PIECE.length
        if (!res.write(PIECE)) return res.once('drain', write)
      }
      res.end()
    }
    write()
  },
}

createServer((req, res) => routes[req.url](res)).listen(process.env.PORT ?? 8000, '127.0.0.1')

function compute(ms) {
  const end = performance.now() + ms
  while (performance.now() < end);
}
