// What `bench/soak.ts` asks for: responses of each kind, and handlers, timers and promises that
// block the event loop for a random time of up to 50 ms.

import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

const PIECE = Buffer.alloc(65_536, 'x')
const PIECES = 16

const routes = {
  '/quick': (_req, res) => res.end('quick'),
  '/block': (_req, res) => {
    block()
    res.end('blocked')
  },
  '/timer': (_req, res) => {
    setTimeout(block, 1)
    res.end('timer')
  },
  '/promise': async (_req, res) => {
    await null
    block()
    res.end('promise')
  },
  '/echo': (req, res) => {
    const hash = createHash('sha1')
    req.on('data', (piece) => hash.update(piece))
    req.on('end', () => res.end(hash.digest('hex')))
  },
  '/large': (_req, res) => {
    let left = PIECES
    const write = () => {
      while (left > 0) {
        left -= 1
        if (!res.write(PIECE)) return res.once('drain', write)
      }
      res.end()
    }
    write()
  },
}

createServer((req, res) => routes[req.url](req, res)).listen(process.env.PORT ?? 8000)

function block() {
  const end = performance.now() + Math.random() * 50
  while (performance.now() < end);
}
