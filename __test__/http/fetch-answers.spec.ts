/** What answers of fetch style are framed by, and what becomes of those that cannot be sent. */
import { Readable } from 'node:stream'
import test from 'ava'
import type { FetchFunction } from '../../ts/http/fetch.ts'
import { native } from '../../ts/native/index.ts'
import { exchange, get, RawClient, request, until } from './client.ts'
import { logged, startNative, startNode, stopNative } from './engines.ts'

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

test.after.always(stopNative)

function stream(...chunks: unknown[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const FIVE = { headers: { 'content-length': '5' } }
const OK = 'HTTP/1.1 200 OK\r\n'
const WAITING = `${OK}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`
const FAILED = 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\n'
const FAILED_TEXT = `${FAILED}Internal Server Error`

interface Framed {
  readonly fetch: () => unknown
  /** The answers to GET and to HEAD, without the fields that all have. */
  readonly get: string
  readonly head: string
}

const framed: Readonly<Record<string, Framed>> = {
  'no body': {
    fetch: () => new Response(null, FIVE),
    get: `${OK}Content-Length: 0\r\n\r\n`,
    head: `${OK}content-length: 5\r\n\r\n`,
  },
  'no body, and fields that have been looked at': {
    fetch: () => new Response(undefined, FIVE).clone(),
    get: `${OK}Content-Length: 0\r\n\r\n`,
    head: `${OK}content-length: 5\r\n\r\n`,
  },
  '204 with a length': {
    fetch: () => new Response(null, { status: 204, ...FIVE }),
    get: 'HTTP/1.1 204 No Content\r\n\r\n',
    head: 'HTTP/1.1 204 No Content\r\n\r\n',
  },
  '304 with a length': {
    fetch: () => new Response(null, { status: 304, ...FIVE }),
    get: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n',
    head: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n',
  },
  'text with a length of its own': {
    fetch: () => new Response('abc', FIVE),
    get: `${OK}Content-Length: 3\r\n\r\nabc`,
    head: `${OK}Content-Length: 3\r\n\r\n`,
  },
  'a stream': {
    fetch: () => new Response(stream(bytes('abc'))),
    get: `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    head: `${OK}\r\n`,
  },
  'a field of trailers, which there are none of': {
    fetch: () => new Response('abc', { headers: { trailer: 'x' } }),
    get: `${OK}Content-Length: 3\r\n\r\nabc`,
    head: `${OK}Content-Length: 3\r\n\r\n`,
  },
  'a throw': {
    fetch: () => {
      throw new Error('no')
    },
    get: FAILED_TEXT,
    head: FAILED,
  },
  'a body that was read': {
    fetch: async () => {
      const response = new Response('x')
      await response.text()
      return response
    },
    get: FAILED_TEXT,
    head: FAILED,
  },
  'a body that is being read': {
    fetch: () => {
      const response = new Response(stream(bytes('x')))
      response.body?.getReader()
      return response
    },
    get: FAILED_TEXT,
    head: FAILED,
  },
  'Response.error()': { fetch: () => Response.error(), get: FAILED_TEXT, head: FAILED },
  nothing: { fetch: () => undefined, get: FAILED_TEXT, head: FAILED },
  'a promise of another make': {
    // biome-ignore lint/suspicious/noThenProperty: the point.
    fetch: () => ({ then: (resolve: (r: Response) => void) => resolve(new Response('ab')) }),
    get: `${OK}Content-Length: 2\r\n\r\nab`,
    head: `${OK}Content-Length: 2\r\n\r\n`,
  },
  'a response of another make': {
    fetch: () => ({
      status: 201,
      headers: new Map([['A', 'b']]),
      body: Readable.from([bytes('x')]),
    }),
    get: 'HTTP/1.1 201 Created\r\na: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    head: 'HTTP/1.1 201 Created\r\na: b\r\n\r\n',
  },
  'one with a line in a field': {
    fetch: () => ({ status: 200, headers: new Map([['a', 'b\r\nc: d']]) }),
    get: FAILED_TEXT,
    head: FAILED,
  },
  'one that switches protocols': {
    fetch: () => ({ status: 101, headers: new Map() }),
    get: FAILED_TEXT,
    head: FAILED,
  },
}

/** Chunks that cannot be sent, after one that was. */
const mistaken = {
  'an ArrayBuffer': bytes('abc').buffer,
  'a view of another kind': new Uint16Array(2),
  text: 'é',
  'a number': 5,
  null: null,
}

for (const [name, start] of Object.entries(engines)) {
  for (const [title, { fetch, ...answers }] of Object.entries(framed)) {
    test.serial(`${name}: ${title}, on a kept connection`, async (t) => {
      const { port, close } = await start(withNext(fetch))
      for (const [method, answer] of [
        ['GET', answers.get],
        ['HEAD', answers.head],
      ] as const) {
        const both = await exchange(port, request(method, '/', []) + get('/next'))
        t.is(bare(both), `${answer}${OK}Connection: close\r\nContent-Length: 4\r\n\r\nnext`, method)
      }
      close()
    })
  }

  test.serial(`${name}: a HEAD with an invalid Host gets 400 without a body`, async (t) => {
    const { port, close } = await start(withNext(() => new Response('x')))
    const asked = `HEAD / HTTP/1.1\r\nHost: 999.1.1.1\r\n\r\n${get('/next')}`
    const answer = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\r\n'
    const next = `${OK}Connection: close\r\nContent-Length: 4\r\n\r\nnext`
    t.is(bare(await exchange(port, asked)), answer + next)
    close()
  })

  test.serial(`${name}: a stream sent to HTTP/1.0 ends with the connection`, async (t) => {
    const { port, close } = await start(
      withNext(() => new Response(stream(bytes('a'), bytes('b')))),
    )
    for (const field of ['', 'Connection: keep-alive\r\n']) {
      const answer = await exchange(port, `GET / HTTP/1.0\r\n${field}\r\n`)
      t.is(bare(answer), `${OK}Connection: close\r\n\r\nab`)
    }
    close()
  })

  test.serial(`${name}: a response of known length has a Content-Length on HTTP/1.0`, async (t) => {
    const { port, close } = await start(withNext(() => new Response('abc')))
    const client = new RawClient(port).send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    t.regex(await client.untilReceived('abc'), /^HTTP\/1.1 200 OK\r\n[\s\S]*Content-Length: 3\r\n/)
    client.send('GET /next HTTP/1.0\r\n\r\n')
    t.regex(await client.untilClosed(), /next$/)
    close()
  })

  for (const [what, chunk] of Object.entries(mistaken)) {
    test.serial(`${name}: ${what} in a stream cuts the response off`, async (t) => {
      const { port, close } = await start(
        withNext(() => new Response(stream(bytes('first'), chunk))),
      )
      logged.length = 0
      const answer = await exchange(port, request('GET', '/', []) + get('/next'))
      t.notRegex(answer, /(?:\r\n0\r\n\r\n|next)$/)
      t.is(logged.length, 1)
      t.regex(logged[0] ?? '', /GET \/ failed: TypeError: the stream .* must give Uint8Array, got /)
      close()
    })
  }

  for (const [length, gave] of [
    ['3', 5],
    ['6', 5],
  ] as const) {
    test.serial(`${name}: a length of ${length} for ${gave} bytes is an error`, async (t) => {
      const headers = { 'content-length': length }
      const fetch = () => new Response(stream(bytes('12345')), { headers })
      const { port, close } = await start(withNext(fetch))
      logged.length = 0
      t.notRegex(await exchange(port, request('GET', '/', []) + get('/next')), /next$/)
      t.is(logged.length, 1)
      t.regex(
        logged[0] ?? '',
        new RegExp(`the Content-Length .* is ${length}, .* gave ${gave} bytes`),
      )
      close()
    })
  }

  test.serial(`${name}: the head of a stream is sent before its first bytes`, async (t) => {
    const { port, close } = await start(withNext(() => new Response(new ReadableStream())))
    const client = new RawClient(port).send(get('/'))
    t.is(bare(await client.untilReceived('\r\n\r\n')), WAITING)
    client.destroy()
    close()
  })

  test.serial(`${name}: a body that is cancelled does not stop the next request`, async (t) => {
    const fetch: FetchFunction = async (req) => {
      if (req.url.endsWith('/next')) return new Response('next')
      for await (const _ of req.body ?? []) break
      return new Response('enough')
    }
    const { port, close } = await start({ style: 'fetch', fetch })
    const posted = request('POST', '/', [`Content-Length: ${LONG.length}`], LONG)
    t.regex(await exchange(port, posted + get('/next')), /enough[\s\S]*next$/)
    close()
  })

  test.serial(
    `${name}: a body can be read after the response if reading began before it`,
    async (t) => {
      const read: unknown[] = []
      const fetch: FetchFunction = (req) => {
        if (req.url.endsWith('/next')) return new Response('next')
        req.text().then((text) => read.push(text.length))
        return new Response('early')
      }
      const { port, close } = await start({ style: 'fetch', fetch })
      const posted = request('POST', '/', [`Content-Length: ${LONG.length}`], LONG)
      t.regex(await exchange(port, posted + get('/next')), /early[\s\S]*next$/)
      t.deepEqual(read, [LONG.length])
      close()
    },
  )

  test.serial(`${name}: reading a body for the first time after the response fails`, async (t) => {
    const late: Request[] = []
    const fetch: FetchFunction = (req) => {
      late.push(req)
      return new Response('early')
    }
    const { port, close } = await start({ style: 'fetch', fetch })
    const client = new RawClient(port)
    client.send(request('POST', '/', [`Content-Length: ${LONG.length}`], LONG))
    await client.untilReceived('early')
    const message = /the response ended before the body was read/
    await t.throwsAsync(async () => late[0]?.text(), { message })
    client.send(get('/')).untilClosed()
    await until(() => late.length === 2)
    close()
  })

  test.serial(
    `${name}: a stream whose reading begins in the turn of the response is read to its end`,
    async (t) => {
      const read: number[] = []
      const fetch: FetchFunction = (req) => {
        let length = 0
        const sink = new WritableStream<Uint8Array>({
          write(chunk) {
            length += chunk.length
          },
          close() {
            read.push(length)
          },
        })
        req.body?.pipeTo(sink)
        return new Response('early')
      }
      const { port, close } = await start({ style: 'fetch', fetch })
      const client = new RawClient(port)
      client.send(request('POST', '/', [`Content-Length: ${LONG.length}`], LONG.slice(0, 5_000)))
      await client.untilReceived('early')
      client.send(LONG.slice(5_000))
      await until(() => read.length === 1)
      t.deepEqual(read, [LONG.length])
      client.destroy()
      close()
    },
  )

  test.serial(
    `${name}: reading a stream for the first time after the response fails`,
    async (t) => {
      const late: (ReadableStream<Uint8Array> | null)[] = []
      const fetch: FetchFunction = (req) => {
        late.push(req.body)
        return new Response('early')
      }
      const { port, close } = await start({ style: 'fetch', fetch })
      const client = new RawClient(port)
      client.send(request('POST', '/', [`Content-Length: ${LONG.length}`], LONG.slice(0, 5_000)))
      await client.untilReceived('early')
      const message = /the response ended before the body was read/
      await t.throwsAsync(async () => new Response(late[0]).text(), { message })
      client.destroy()
      close()
    },
  )

  test.serial(`${name}: a clone that is not read does not stop the next request`, async (t) => {
    const fetch: FetchFunction = async (req) => {
      if (req.url.endsWith('/next')) return new Response('next')
      req.clone()
      await null
      return new Response('early')
    }
    const { port, close } = await start({ style: 'fetch', fetch })
    const posted = request('POST', '/', [`Content-Length: ${LONG.length}`], LONG)
    t.regex(await exchange(port, posted + get('/next')), /early[\s\S]*next$/)
    close()
  })

  test.serial(`${name}: request.url keeps the path of a target with another scheme`, async (t) => {
    const { port, close } = await start(withNext((req) => new Response(req.url)))
    const asked = (target: string) =>
      `GET ${target} HTTP/1.1\r\nHost: y:8\r\nConnection: close\r\n\r\n`
    t.regex(await exchange(port, asked('foo://y:8/a?b')), /\r\n\r\nhttp:\/\/y:8\/a\?b$/)
    t.regex(await exchange(port, asked('foo://y:8')), /\r\n\r\nhttp:\/\/y:8\/$/)
    t.regex(await exchange(port, asked('http://u:p@y:8/')), /^HTTP\/1.1 400 /)
    close()
  })
}

/** Longer than any engine buffers ahead of its reader. */
const LONG = 'x'.repeat(1_000_000)

function withNext(fetch: (req: Request) => unknown): { style: 'fetch'; fetch: FetchFunction } {
  const answer = (req: Request) =>
    req.url.endsWith('/next') ? new Response('next') : (fetch(req) as Response)
  return { style: 'fetch', fetch: answer }
}

/** Without what all answers have. */
function bare(answer: string): string {
  return answer.replace(/(?:Date|Connection: k|Keep-Alive|content-type)[^\r]*\r\n/g, '')
}
