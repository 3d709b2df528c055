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
  return async ({ serve, settled }) => {
    const found: unknown[] = []
    const port = await serve((req, res) => {
      res.on('error', (error: NodeJS.ErrnoException) => found.push(['error event', error.code]))
      for (const call of calls) found.push(attempt(() => call(res, req)))
      // An error event may follow in a later tick.
      setImmediate(() => res.end())
    })
    const answer = await exchange(port, get('/'))
    await settled(found)
    return [answer, found]
  }
}

const no = undefined as never

export const refusals: Scenarios = {
  'invalid field names throw': refused(
    (res) => res.setHeader('a b', '1'),
    (res) => res.setHeader('', '1'),
    (res) => res.setHeader(5 as never, '1'),
    (res) => res.writeHead(200, { 'a b': '1' }),
  ),
  'invalid field values throw': refused(
    (res) => res.setHeader('a', no),
    (res) => res.setHeader('a', 'x\ny'),
    (res) => res.setHeader('a', 'x\0'),
    (res) => res.setHeader('a', '\u2603'),
    (res) => res.writeHead(200, { a: 'x\r\ny' }),
  ),
  'writeHead() can be called again after it has refused a value': refused(
    (res) => res.writeHead(404, { a: no }),
    (res) => [res.headersSent, res.statusCode].join(),
    (res) => res.writeHead(201, { a: 'b' }),
  ),
  'getHeader(), hasHeader() and removeHeader() without a name throw': refused(
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
  'end() with an invalid status throws': refused((res) => {
    res.statusCode = 99
    try {
      return res.end('x')
    } finally {
      res.statusCode = 200
    }
  }),
  'writeHead() with an invalid reason throws': refused(
    (res) => res.writeHead(200, 'a\nb'),
    (res) => {
      res.statusMessage = 'fine'
      return res.headersSent
    },
  ),
  'writeHead() with an array of odd length throws': refused((res) =>
    res.writeHead(200, ['a'] as never),
  ),
  'methods that change the head throw after it was sent': refused(
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
  'methods called after end() throw or emit an error': refused(
    (res) => res.end('x').writableEnded,
    (res) => res.setHeader('a', '1'),
    (res) => res.writeHead(200),
    (res) => res.end().writableEnded,
    (res) => res.write('y'),
    (res) => res.end('z').writableEnded,
  ),
  'chunks that are neither string nor bytes throw': refused(
    (res) => res.write(null as never),
    (res) => res.write(5 as never),
    (res) => res.write({} as never),
    (res) => res.write(no),
    (res) => res.end(5 as never),
    (res) => res.write(new Uint16Array(1) as never),
  ),
  'setHeaders() with a plain object throws': refused((res) => res.setHeaders({} as never)),
  'invalid early hints throw': refused(
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
