/** The bytes of answers: which fields, in which order, how framed. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { exchange, get, request } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Program = (res: ServerResponse, req: IncomingMessage) => void

/** Node sends it to clients of HTTP/1.0 too, the engine does not (RFC 9110 section 15.2). */
const INTERIM = 'interim answers'

/** Programs whose answer to a GET is compared; each is also asked with HEAD and by HTTP/1.0. */
const PROGRAMS: Readonly<Record<string, Program>> = {
  'end with text': (res) => res.end('hello'),
  'end without anything': (res) => res.end(),
  'end with an empty text': (res) => res.end(''),
  'end with bytes': (res) => res.end(Buffer.from('hello')),
  'end with a Uint8Array': (res) => res.end(new Uint8Array([104, 105])),
  'end with text beyond ASCII': (res) => res.end('gr\u00fc\u00df \u2603'),
  'a status that is a fraction': (res) => {
    res.statusCode = 404.9
    res.end('x')
  },
  'a status that is a string': (res) => {
    Object.assign(res, { statusCode: '404' }).end()
  },
  'end with null in place of an encoding and a callback': (res) => {
    const end = res.end as (...args: unknown[]) => ServerResponse
    return end.call(res.writeHead(200, { 'Content-Length': 5 }), 'hello', null, null)
  },
  'end with text whose last letter is beyond ASCII': (res) => res.end('hello \ud83d\ude00'),
  'end with long text beyond ASCII': (res) => res.end('\u00fc'.repeat(500)),
  'field values that are short, long, numbers and arrays': (res) => {
    res.setHeader('A', '')
    res.setHeader('B', 'b'.repeat(100))
    res.setHeader('C', 13)
    res.setHeader('D', '')
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.end('x')
  },
  'a value beyond ASCII, then text': (res) =>
    res.setHeader('a', `\u00e9${'\u00ff'.repeat(80)}`).end('x'),
  'a value beyond ASCII, then bytes': (res) => res.setHeader('a', '\u00e9').end(Buffer.from('x')),
  'a value beyond ASCII, then latin1': (res) => res.setHeader('a', '\u00e9').end('x', 'latin1'),
  'a value beyond ASCII, then nothing': (res) => res.setHeader('a', ['\u00e9', 'b']).end(),
  'a value beyond ASCII, then pieces': (res) => {
    res.setHeader('a', '\u00e9').write('x')
    res.end('y')
  },
  'a value beyond ASCII, a length, then pieces': (res) => {
    res.setHeader('a', '\u00e9').setHeader('Content-Length', 2).write('x')
    res.end('y')
  },
  'writeHead with a value beyond ASCII': (res) => res.writeHead(200, { a: '\u00e9' }).end('x'),
  'writeHead with a value beyond ASCII and a length': (res) => {
    res.writeHead(200, { a: '\u00e9', 'Content-Length': 1 }).end('x')
  },
  'writeHead with values that are short, long, numbers and arrays': (res) => {
    const values = { a: '', b: 'b'.repeat(100), c: 13, 'set-cookie': ['a=1', 'b=2'] }
    res.writeHead(200, values).end('x')
  },
  'end with latin1': (res) => res.end('\u00e9', 'latin1'),
  'end with base64': (res) => res.end('aGVsbG8=', 'base64'),
  'write, then end': (res) => {
    res.write('a')
    res.end('b')
  },
  'an empty write commits the head': (res) => {
    res.write('')
    res.end('x')
  },
  'writeHead, then end with text': (res) => res.writeHead(200).end('hello'),
  'writeHead, then end': (res) => res.writeHead(200).end(),
  'flushHeaders, then end': (res) => {
    res.flushHeaders()
    res.end()
  },
  'a Content-Length of its own': (res) => {
    res.setHeader('Content-Length', 5)
    res.write('he')
    res.end('llo')
  },
  'writeHead with fields and a Content-Length': (res) => {
    res.writeHead(201, { 'Content-Type': 'text/x', 'content-length': 5 }).end('hello')
  },
  'writeHead with a reason and fields': (res) => {
    res.writeHead(200, 'Fine', { a: 'b' }).end('x')
  },
  'writeHead with an empty reason': (res) => {
    res.writeHead(200, '', { a: 'b' }).end('x')
  },
  'Transfer-Encoding of its own': (res) => {
    res.setHeader('Transfer-Encoding', 'chunked')
    res.setHeader('after', 1)
    res.end('x')
  },
  'both Content-Length and Transfer-Encoding': (res) => {
    res.setHeader('Content-Length', 1)
    res.setHeader('Transfer-Encoding', 'chunked')
    res.end('x')
  },
  'status 204 with a body': (res) => {
    res.statusCode = 204
    res.end('x')
  },
  'status 304 with a body': (res) => res.writeHead(304, { etag: '"1"' }).end('x'),
  'status 205 with a body': (res) => res.writeHead(205).end('x'),
  'status 204 and chunked': (res) => {
    res.statusCode = 204
    res.setHeader('Transfer-Encoding', 'chunked')
    res.end()
  },
  'a status without a standard phrase': (res) => {
    res.statusCode = 299
    res.end('x')
  },
  'a status with a reason of its own': (res) => {
    res.statusCode = 299
    res.statusMessage = 'Fine'
    res.end('x')
  },
  'a reason beyond ASCII, then text': (res) => {
    res.statusMessage = '\u00fcbel'
    res.end('x')
  },
  'a reason beyond ASCII, then bytes': (res) => {
    res.statusMessage = '\u00fcbel'
    res.end(Buffer.from('x'))
  },
  'writeHead with a reason beyond ASCII': (res) => res.writeHead(404, '\u00fcbel').end('x'),
  'writeHead with a reason beyond ASCII, then nothing': (res) =>
    res.writeHead(404, '\u00fcbel').end(),
  'an empty reason': (res) => {
    res.statusMessage = ''
    res.end('x')
  },
  'a field set twice': (res) => {
    res.setHeader('x-FOO', 1)
    res.setHeader('b', 2)
    res.setHeader('X-foo', 3)
    res.end()
  },
  'a field removed': (res) => {
    res.setHeader('a', 1)
    res.setHeader('b', 2)
    res.removeHeader('a')
    res.end('x')
  },
  'fields with several values': (res) => {
    res.setHeader('SET-cookie', ['a', 'b'])
    res.setHeader('X-Arr', ['1', '2'])
    res.setHeader('Cookie', ['c', 'd'])
    res.end('x')
  },
  appendHeader: (res) => {
    res.appendHeader('Set-Cookie', 'a=1')
    res.appendHeader('Set-Cookie', 'b=2')
    res.appendHeader('X', ['1', '2'])
    res.end('x')
  },
  setHeaders: (res) => {
    res.setHeaders(
      new Map([
        ['a', '1'],
        ['set-cookie', 'x'],
      ]),
    )
    res.setHeaders(new Headers({ b: '2' }))
    res.end('x')
  },
  'field values that are not strings': (res) => {
    res.setHeader('n', 5)
    res.setHeader('b', null as unknown as string)
    res.setHeader('o', {} as unknown as string)
    res.end()
  },
  'a value beyond ASCII': (res) => {
    res.setHeader('x', '\u00e9')
    res.end(Buffer.from('q'))
  },
  'a Date of its own': (res) => {
    res.setHeader('date', 'yesterday')
    res.end('x')
  },
  'no Date': (res) => {
    res.sendDate = false
    res.end('x')
  },
  'Date removed': (res) => {
    res.removeHeader('Date')
    res.end('x')
  },
  'Connection removed': (res) => {
    res.removeHeader('Connection')
    res.end('x')
  },
  'Connection: close of its own': (res) => {
    res.setHeader('Connection', 'close')
    res.end('x')
  },
  'a Connection field with other words': (res) => {
    res.setHeader('connection', 'foo, Close')
    res.end('x')
  },
  'a Keep-Alive of its own': (res) => {
    res.setHeader('Keep-Alive', 'timeout=9')
    res.end('x')
  },
  'Content-Length removed': (res) => {
    res.removeHeader('Content-Length')
    res.end('x')
  },
  'Transfer-Encoding removed': (res) => {
    res.removeHeader('Transfer-Encoding')
    res.write('x')
    res.end('y')
  },
  'shouldKeepAlive off': (res) => {
    res.shouldKeepAlive = false
    res.end('x')
  },
  'writeHead adds to what was set': (res) => {
    res.setHeader('A', 1)
    res.setHeader('B', 1)
    res.writeHead(201, { b: 2, C: 3 }).end()
  },
  'writeHead with a flat array': (res) => {
    res.writeHead(200, ['A', '1', 'A', '2', 'Set-Cookie', 'x', 'Set-Cookie', 'y']).end()
  },
  'writeHead with pairs': (res) => {
    res
      .writeHead(200, [
        ['A', '1'],
        ['A', '2'],
      ] as never)
      .end('x')
  },
  'writeHead with several values': (res) => {
    res.writeHead(200, { 'Set-Cookie': ['a', 'b'], x: ['1'] }).end('x')
  },
  'Content-Disposition beyond ASCII': (res) => {
    res.setHeader('Content-Disposition', 'attachment; filename="\u00e9"')
    res.end(Buffer.from('x'))
  },
  '_contentLength before writeHead': (res) => {
    Reflect.set(res, '_contentLength', 5)
    res.writeHead(200, { a: 'b' })
    res.end('hello')
  },
  'useChunkedEncodingByDefault off': (res) => {
    res.useChunkedEncodingByDefault = false
    res.end('x')
  },
  trailers: (res) => {
    res.setHeader('Trailer', 'X-T')
    res.write('a')
    res.addTrailers({ 'X-T': '1' })
    res.end()
  },
  'trailers are not sent with a Content-Length': (res) => {
    res.setHeader('Content-Length', 1)
    res.addTrailers({ 'X-T': '1' })
    res.end('x')
  },
  [INTERIM]: (res) => {
    res.writeContinue()
    res.writeProcessing()
    res.writeEarlyHints({ link: '</a>; rel=preload', x: 'y' })
    res.end('x')
  },
  'a wrapper of writeHead': (res) => {
    const { writeHead } = res
    res.writeHead = function wrapped(this: ServerResponse, ...args: unknown[]) {
      this.setHeader('wrapped', 'yes')
      return Reflect.apply(writeHead, this, args)
    } as typeof writeHead
    res.setHeader('a', 1)
    res.end('hello')
  },
  'a wrapper of end and write': (res) => {
    const { end, write } = res
    res.write = ((chunk: string) => write.call(res, chunk.toUpperCase(), 'utf8')) as typeof write
    res.end = ((chunk: string) => {
      res.write(chunk)
      return end.call(res, undefined, 'utf8')
    }) as typeof end
    res.end('hello')
  },
  '_implicitHeader called by the application': (res) => {
    Reflect.get(res, '_implicitHeader').call(res)
    res.end('hello')
  },
  'methods of the prototypes called by the application': (res) => {
    http.ServerResponse.prototype.setHeader.call(res, 'a', '1')
    http.OutgoingMessage.prototype.appendHeader.call(res, 'a', '2')
    http.OutgoingMessage.prototype.end.call(res, 'hello', 'utf8')
  },
  'methods of the parent prototype, with several writes': (res) => {
    const parent = http.OutgoingMessage.prototype
    parent.write.call(res, 'a', 'utf8')
    parent.end.call(res, 'b', 'utf8')
  },
  'cork and uncork': (res) => {
    res.cork()
    res.write('a')
    res.write('b')
    res.uncork()
    res.end()
  },
}

/** Runs a program, whose throw ends the connection and is part of what is compared. */
function guarded(program: Program, thrown: unknown[]) {
  return (req: IncomingMessage, res: ServerResponse): void => {
    try {
      program(res, req)
    } catch (error) {
      thrown.push(String(error))
      res.destroy()
    }
  }
}

function asked(program: Program, text: string): Scenario {
  return async ({ serve }) => {
    const thrown: unknown[] = []
    const port = await serve(guarded(program, thrown))
    return [await exchange(port, text), thrown]
  }
}

function unlessLast(program: Program): Program {
  return (res, req) => (req.url === '/last' ? res.end() : program(res, req))
}

/** On a connection that stays open, so that keep-alive fields and framing are exercised. */
function twice(program: Program): Scenario {
  return async ({ serve }) => {
    const thrown: unknown[] = []
    const port = await serve(guarded(unlessLast(program), thrown))
    return [await exchange(port, request('GET', '/', []) + get('/last')), thrown]
  }
}

/** Whether the server keeps the connection shows in whether it answers the second. */
const KEEP_ALIVE_1_0 = 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /last HTTP/1.0\r\n\r\n'

export const heads: Scenarios = Object.fromEntries(
  Object.entries(PROGRAMS).flatMap(([title, program]) => [
    [`GET: ${title}`, asked(program, get('/'))],
    [`GET, kept alive: ${title}`, twice(program)],
    [`HEAD: ${title}`, asked(program, request('HEAD', '/', ['Connection: close']))],
    ...(title === INTERIM ? [] : inHttp10(title, program)),
  ]),
)

function inHttp10(title: string, program: Program): [string, Scenario][] {
  return [
    [`HTTP/1.0: ${title}`, asked(program, 'GET / HTTP/1.0\r\n\r\n')],
    [`HTTP/1.0 keep-alive: ${title}`, asked(unlessLast(program), KEEP_ALIVE_1_0)],
  ]
}
