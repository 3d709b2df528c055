// Bodies: POST reads one and responds with its length, GET /large sends 16 MiB in chunks of 64 KiB
// as the client reads them, GET /whole sends them as one Buffer.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'

const PIECE = Buffer.alloc(65_536, 'x')
const PIECES = 256
const WHOLE = Buffer.alloc(PIECE.length * PIECES, 'x')

export function app(req: IncomingMessage, res: ServerResponse): void {
  if (req.method === 'POST') return readBody(req, res)
  if (req.url === '/large') {
    res.setHeader('content-length', PIECE.length * PIECES)
    Readable.from(Array.from({ length: PIECES }, () => PIECE)).pipe(res)
    return
  }
  if (req.url === '/whole') {
    res.end(WHOLE)
    return
  }
  res.setHeader('content-type', 'text/plain')
  res.end('Hello, World!')
}

function readBody(req: IncomingMessage, res: ServerResponse): void {
  let length = 0
  req.on('data', (piece) => {
    length += piece.length
  })
  req.on('end', () => {
    res.setHeader('content-type', 'text/plain')
    res.end(`${length}`)
  })
}
