/** Errors that calls throw, return or emit. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { exchange, get } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Call = (res: ServerResponse, req: IncomingMessage) => unknown

function attempt(call: () => unknown): unknown {
  try {
    const value = call()
    return typeof value === 'object' ? 'an object' : value
  } catch (error) {
    const { name, message, code } = error as NodeJS.ErrnoException
    return { name, message, code }
  }
}

/** Compares what a call throws, then answers. */
function refused(...calls: Call[]): Scenario {
  return async ({ serve }) => {
    const found: unknown[] = []
    const port = await serve((req, res) => {
      res.on('error', (error: NodeJS.ErrnoException) => found.push(['error event', error.code]))
      for (const call of calls) found.push(attempt(() => call(res, req)))
      setTimeout(() => res.end(), 20)
    })
    const answer = await exchange(port, get('/'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    return [answer, found]
  }
}

const no = undefined as never

export const refusals: Scenarios = {
  'names of fields': refused(
    (res) => res.setHeader('a b', '1'),
    (res) => res.setHeader('', '1'),
    (res) => res.setHeader(5 as never, '1'),
    (res) => res.writeHead(200, { 'a b': '1' }),
  ),
  'values of fields': refused(
    (res) => res.setHeader('a', no),
    (res) => res.setHeader('a', 'x\ny'),
    (res) => res.setHeader('a', 'x\0'),
    (res) => res.setHeader('a', '\u2603'),
    (res) => res.writeHead(200, { a: 'x\r\ny' }),
  ),
  'a value refused by writeHead leaves the head open': refused(
    (res) => res.writeHead(404, { a: no }),
    (res) => [res.headersSent, res.statusCode].join(),
    (res) => res.writeHead(201, { a: 'b' }),
  ),
  'accessors without a name': refused(
    (res) => res.getHeader(no),
    (res) => res.hasHeader(no),
    (res) => res.removeHeader(no),
  ),
  statuses: refused(
    (res) => res.writeHead(99),
    (res) => res.writeHead(1000),
    (res) => res.writeHead('abc' as never),
    (res) => res.writeHead('201' as never),
  ),
  'a bad status is refused by end': refused((res) => {
    res.statusCode = 99
    try {
      return res.end('x')
    } finally {
      res.statusCode = 200
    }
  }),
  'a bad reason': refused(
    (res) => res.writeHead(200, 'a\nb'),
    (res) => {
      res.statusMessage = 'fine'
      return res.headersSent
    },
  ),
  'an odd array': refused((res) => res.writeHead(200, ['a'] as never)),
  'after the head': refused(
    (res) => res.writeHead(200, { a: 'b' }).headersSent,
    (res) => res.setHeader('a', '1'),
    (res) => res.appendHeader('a', '1'),
    (res) => res.removeHeader('a'),
    (res) => res.writeHead(200),
    (res) => res.setHeaders(new Map()),
    (res) => {
      res.statusCode = 500
      return res.statusCode
    },
    (res) => res.flushHeaders(),
  ),
  'after end': refused(
    (res) => res.end('x').writableEnded,
    (res) => res.setHeader('a', '1'),
    (res) => res.writeHead(200),
    (res) => res.end().writableEnded,
    (res) => res.write('y'),
    (res) => res.end('z').writableEnded,
  ),
  'chunks of other kinds': refused(
    (res) => res.write(null as never),
    (res) => res.write(5 as never),
    (res) => res.write({} as never),
    (res) => res.write(no),
    (res) => res.end(5 as never),
    (res) => res.write(new Uint16Array(1) as never),
  ),
  'setHeaders of something else': refused((res) => res.setHeaders({} as never)),
  'early hints': refused(
    (res) => res.writeEarlyHints({ link: 'bad' }),
    (res) => res.writeEarlyHints({} as never),
  ),
  strictContentLength: refused((res) => {
    res.strictContentLength = true
    res.setHeader('Content-Length', 3)
    res.write('abc')
    return res.write('d')
  }),
  trailers: refused(
    (res) => res.addTrailers({ 'a b': 'x' }),
    (res) => res.addTrailers({ a: 'x\n' }),
  ),
  pipe: refused((res) => Reflect.get(res, 'pipe').call(res, res)),
}
