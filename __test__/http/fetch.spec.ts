import { inspect } from 'node:util'
import test from 'ava'
import type { FetchFunction } from '../../ts/http/fetch.ts'
import { native } from '../../ts/native/index.ts'
import { exchange, get, nextTurn, RawClient, request, until, untilQuiet } from './client.ts'
import { startNative, startNode, stopNative } from './engines.ts'

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

test.after.always(stopNative)

interface Case {
  readonly fetch: FetchFunction
  readonly asked: string
  /** What the answer is, without Date. */
  readonly answer: RegExp
}

const POST = request(
  'POST',
  '/p?q=1',
  ['Content-Length: 11', 'Content-Type: text/x', 'Connection: close'],
  'hello world',
)
const CHUNKED = request(
  'POST',
  '/',
  ['Transfer-Encoding: chunked', 'Connection: close'],
  '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n',
)

function stream(...parts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller) {
      for (const part of parts) {
        await nextTurn()
        controller.enqueue(Buffer.from(part))
      }
      controller.close()
    },
  })
}

const TEXT = 'content-type: text/plain;charset=UTF-8\r\n'
const END = 'Date: D\r\nConnection: close\r\n'

const cases: Readonly<Record<string, Case>> = {
  text: {
    fetch: () => new Response('hello'),
    asked: get('/'),
    answer: exactly(`HTTP/1.1 200 OK\r\n${TEXT}${END}Content-Length: 5\r\n\r\nhello`),
  },
  'text beyond ASCII': {
    fetch: () => new Response('\u2603', { headers: { a: 'b' } }),
    asked: get('/'),
    answer: exactly(
      `HTTP/1.1 200 OK\r\na: b\r\n${TEXT}${END}Content-Length: 3\r\n\r\n\u00e2\u0098\u0083`,
    ),
  },
  'a field beyond ASCII beside text': {
    fetch: () => new Response('\u00e9', { headers: { a: '\u00e9' } }),
    asked: get('/'),
    answer: exactly(
      `HTTP/1.1 200 OK\r\na: \u00e9\r\n${TEXT}${END}Content-Length: 2\r\n\r\n\u00c3\u00a9`,
    ),
  },
  bytes: {
    fetch: () => new Response(Buffer.from('hello'), { status: 201, statusText: 'Made' }),
    asked: get('/'),
    answer: exactly(`HTTP/1.1 201 Made\r\n${END}Content-Length: 5\r\n\r\nhello`),
  },
  JSON: {
    fetch: () => Response.json({ a: 1 }),
    asked: get('/'),
    answer: exactly(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${END}Content-Length: 7\r\n\r\n{"a":1}`,
    ),
  },
  'no body': {
    fetch: () => new Response(null, { status: 404 }),
    asked: get('/'),
    answer: exactly(`HTTP/1.1 404 Not Found\r\n${END}Content-Length: 0\r\n\r\n`),
  },
  'status 204': {
    fetch: () => new Response(null, { status: 204 }),
    asked: get('/'),
    answer: exactly(`HTTP/1.1 204 No Content\r\n${END}\r\n`),
  },
  'a promise': {
    fetch: async () => {
      await nextTurn()
      return new Response('later')
    },
    asked: get('/'),
    answer: /\r\n\r\nlater$/,
  },
  'a stream': {
    fetch: () => new Response(stream('ab', 'c')),
    asked: get('/'),
    answer: exactly(
      `HTTP/1.1 200 OK\r\n${END}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n`,
    ),
  },
  'a stream with a length': {
    fetch: () => new Response(stream('ab', 'c'), { headers: { 'content-length': '3' } }),
    asked: get('/'),
    answer: exactly(`HTTP/1.1 200 OK\r\ncontent-length: 3\r\n${END}\r\nabc`),
  },
  'a blob': { fetch: () => new Response(new Blob(['blob'])), asked: get('/'), answer: /blob/ },
  'a form': {
    fetch: () => {
      const form = new FormData()
      form.set('a', 'b')
      return new Response(form)
    },
    asked: get('/'),
    answer: /content-type: multipart\/form-data; boundary=[\s\S]*name="a"\r\n\r\nb\r\n/,
  },
  'HEAD of text': {
    fetch: () => new Response('hello'),
    asked: request('HEAD', '/', ['Connection: close']),
    answer: /^HTTP\/1.1 200 OK\r\n[\s\S]*Content-Length: 5\r\n[\s\S]*\r\n$/,
  },
  'cookies stay apart': {
    fetch: () => {
      const headers = new Headers({ b: '1' })
      headers.append('Set-Cookie', 'x=1')
      headers.append('Set-Cookie', 'y=2')
      return new Response(null, { headers })
    },
    asked: get('/'),
    answer: /set-cookie: x=1\r\nset-cookie: y=2\r\n/,
  },
  'Connection: close of its own': {
    fetch: () => new Response('x', { headers: { connection: 'close' } }),
    asked: request('GET', '/', []),
    answer: /^HTTP\/1.1 200 OK\r\n[\s\S]*Connection: close\r\n/,
  },
  'properties of a request': {
    fetch: (req) => Response.json([req.method, req.url, req.headers.get('x-a'), req.body === null]),
    asked: get('/a%20b?c=d', 'X-A: 1', 'x-a: 2'),
    answer: /\["GET","http:\/\/test\/a%20b\?c=d","1, 2",true\]$/,
  },
  'headers of a request': {
    fetch: (req) => {
      const { headers } = req
      const asked = [
        headers.get('X-A'),
        headers.has('x-b'),
        headers.has('x-c'),
        headers.get('cookie'),
      ]
      const isOurs = headers instanceof Headers && headers.constructor === Headers
      const first = inspect(headers)
      headers.append('x-c', '3')
      return Response.json([
        asked,
        isOurs,
        first,
        [...headers].join('|'),
        new Headers(headers).get('x-c'),
        Object.fromEntries(headers.entries())['x-a'],
        new Request('http://a/', req).headers.get('x-c'),
        headers === req.headers,
      ])
    },
    asked: get('/', 'X-A: 1', 'x-B:  2', 'x-a: 3', 'Cookie: a=b', 'cookie: c=d'),
    answer: exactly(
      JSON.stringify([
        ['1, 3', true, false, 'a=b; c=d'],
        true,
        "Headers {\n  Host: 'test',\n  Connection: 'close',\n  'X-A': '1, 3',\n" +
          "  'x-B': '2',\n  Cookie: 'a=b; c=d'\n}",
        'connection,close|cookie,a=b; c=d|host,test|x-a,1, 3|x-b,2|x-c,3',
        ...['3', '1, 3', '3', true],
      ]),
      '',
    ),
  },
  'a name that no header has': {
    fetch: (req) => {
      try {
        return new Response(req.headers.get('a b'))
      } catch (error) {
        return new Response(String(error))
      }
    },
    asked: get('/'),
    answer: /TypeError: Headers.get: "?a b"? is an invalid header name/,
  },
  'a URL that has to be parsed': {
    fetch: (req) => Response.json(req.url),
    asked: get("/a/../b'c?d'"),
    answer: /"http:\/\/test\/b'c\?d%27"$/,
  },
  'absolute form': {
    fetch: (req) => Response.json(req.url),
    asked: get('http://other:80/x'),
    answer: /"http:\/\/other\/x"$/,
  },
  'a body as text': {
    fetch: async (req) => new Response(`${req.bodyUsed} ${await req.text()} ${req.bodyUsed}`),
    asked: POST,
    answer: /\r\n\r\nfalse hello world true$/,
  },
  'a body in chunks': {
    fetch: async (req) => new Response(await req.text()),
    asked: CHUNKED,
    answer: /\r\n\r\nhello world$/,
  },
  'a body as a stream': {
    fetch: (req) => new Response(req.body),
    asked: CHUNKED,
    answer: /chunked\r\n\r\n(?:b\r\nhello world|5\r\nhello\r\n6\r\n world)\r\n0\r\n\r\n$/,
  },
  'a body twice': {
    fetch: async (req) => {
      await req.text()
      return new Response(String(await req.text().catch((error: unknown) => error)))
    },
    asked: POST,
    answer: /TypeError: Body is unusable/,
  },
  'a body as bytes, and as a blob of a clone': {
    fetch: async (req) => {
      const copy = req.clone()
      const bytes = await req.arrayBuffer()
      return Response.json([bytes.byteLength, (await copy.blob()).size])
    },
    asked: POST,
    answer: /\[11,11\]$/,
  },
  'JSON of a body': {
    fetch: async (req) => Response.json(await req.json()),
    asked: request('POST', '/', ['Content-Length: 7', 'Connection: close'], '{"a":1}'),
    answer: /\{"a":1\}$/,
  },
  'a body that has been read': {
    fetch: async (req) => {
      await req.text()
      const again = [() => req.clone(), () => req.text(), () => req.formData(), () => req.blob()]
      const reads = again.map(async (read) => read())
      const refused = await Promise.allSettled(reads)
      return Response.json([req.bodyUsed, ...refused.map(({ status }) => status)])
    },
    asked: POST,
    answer: /\[true,"rejected","rejected","rejected","rejected"\]$/,
  },
  'a body not read': { fetch: () => new Response('x'), asked: POST, answer: /\r\n\r\nx$/ },
  'who asks': {
    fetch: (_req, env) =>
      Response.json(
        (env as { incoming: { socket: { remoteAddress: string } } }).incoming.socket.remoteAddress,
      ),
    asked: get('/'),
    answer: /"127.0.0.1"$/,
  },
  'a bad Host': {
    fetch: () => new Response('never'),
    asked: 'GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n',
    answer: /^HTTP\/1.1 400 Bad Request\r\n/,
  },
}

for (const [name, start] of Object.entries(engines)) {
  for (const [title, { fetch, asked, answer }] of Object.entries(cases)) {
    test.serial(`${name}: ${title}`, async (t) => {
      const { port, close } = await start({ style: 'fetch', fetch })
      t.regex(await exchange(port, asked), answer)
      close()
    })
  }

  test.serial(
    `${name}: when the client closes, the stream is cancelled and the signal aborts`,
    async (t) => {
      const events: string[] = []
      const fetch: FetchFunction = (req) => {
        req.signal.addEventListener('abort', () => events.push('aborted'))
        return new Response(
          new ReadableStream({
            pull: (controller) => {
              if (events.length === 0) controller.enqueue(Buffer.from('x'))
              return nextTurn()
            },
            cancel: () => void events.push('cancelled'),
          }),
        )
      }
      const { port, close } = await start({ style: 'fetch', fetch })
      const client = new RawClient(port).send(get('/'))
      await client.untilReceived('x')
      client.destroy()
      await until(() => events.length >= 2)
      t.deepEqual(events.sort(), ['aborted', 'cancelled'])
      close()
    },
  )

  test.serial(
    `${name}: a body that is read after the response fails when the client closes`,
    async (t) => {
      const failed: unknown[] = []
      const fetch: FetchFunction = (req) => {
        req.text().catch((reason: unknown) => failed.push(reason))
        return new Response('early')
      }
      const { port, close } = await start({ style: 'fetch', fetch })
      const client = new RawClient(port).send(request('POST', '/', ['Content-Length: 9'], 'part'))
      await client.untilReceived('early')
      client.destroy()
      await until(() => failed.length > 0)
      t.like(failed[0], { code: 'ECONNRESET' })
      close()
    },
  )

  test.serial(`${name}: the signal does not abort after the response`, async (t) => {
    let signal: AbortSignal | undefined
    const fetch: FetchFunction = (req) => {
      signal = req.signal
      return new Response('x')
    }
    const { port, close } = await start({ style: 'fetch', fetch })
    await exchange(port, get('/'))
    await untilQuiet(() => signal?.aborted)
    t.false(signal?.aborted)
    close()
  })

  test.serial(`${name}: a stream that fails cuts the response off`, async (t) => {
    const fetch: FetchFunction = () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            controller.enqueue(Buffer.from('part'))
            await nextTurn()
            controller.error(new Error('no'))
          },
        }),
      )
    const { port, close } = await start({ style: 'fetch', fetch })
    const answer = await exchange(port, get('/'))
    t.regex(answer, /part/)
    t.false(answer.endsWith('0\r\n\r\n'))
    close()
  })
}

function exactly(text: string, from = '^'): RegExp {
  return new RegExp(`${from}${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)
}
