/** Bodies of requests and long answers. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { exchange, get, RawClient, request, sleep, until } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Reader = (req: IncomingMessage, res: ServerResponse) => unknown

const CHUNKED = ['Transfer-Encoding: chunked', 'Connection: close']

/** Posts a body in three ways; the reader's answer has to be the same. */
function posted(reader: Reader): Scenario {
  return async ({ serve }) => {
    let handled = 0
    const port = await serve((req, res) => {
      handled++
      reader(req, res)
    })
    const whole = request('POST', '/', ['Content-Length: 11', 'Connection: close'], 'hello world')
    const chunked = request('POST', '/', CHUNKED, '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n')
    const slow = new RawClient(port).send(whole.slice(0, -6))
    await until(() => handled > 0)
    slow.send(whole.slice(-6))
    const late = (await slow.untilClosed()).replace(/Date: [^\r]*/g, 'Date: D')
    return [await exchange(port, whole), await exchange(port, chunked), late]
  }
}

async function collect(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of req) text += chunk
  return text
}

type Read = (text: string) => void

/** How a body is begun to be read in the turn of the answer. */
const beginnings: Readonly<Record<string, (req: IncomingMessage, read: Read) => unknown>> = {
  data(req, read) {
    let text = ''
    req.on('data', (chunk) => {
      text += chunk
    })
    req.on('end', () => read(text))
  },
  pipe(req, read) {
    let text = ''
    const sink = new Writable({
      write(chunk, _encoding, callback) {
        text += chunk
        callback()
      },
      final(callback) {
        read(text)
        callback()
      },
    })
    req.pipe(sink)
  },
  'for await': (req, read) => collect(req).then(read),
}

/** The response is written in one turn, and most of the body arrives later: all of it is read. */
function readBehind(begin: (req: IncomingMessage, read: Read) => unknown): Scenario {
  const orders: Reader[] = [
    (_req, res) => res.end('early'),
    (_req, res) => {
      res.write('ear')
      res.end('ly')
    },
  ]
  return async ({ serve }) => {
    const results: string[] = []
    for (const answer of orders) {
      for (const isFirst of [true, false]) {
        const texts: string[] = []
        let answered: ServerResponse | undefined
        const port = await serve((req, res) => {
          answered = res
          if (req.url === '/next') return void res.end(`${texts}`)
          if (!isFirst) answer(req, res)
          begin(req, (text) => texts.push(text))
          if (isFirst) answer(req, res)
        })
        for (const [fields, first, rest] of [
          ['Content-Length: 11', 'hello', ' world'],
          ['Transfer-Encoding: chunked', '5\r\nhello\r\n', '6\r\n world\r\n0\r\n\r\n'],
        ] as const) {
          const client = new RawClient(port).send(request('POST', '/', [fields], first))
          await client.untilReceived('ly')
          await until(() => answered?.writableFinished === true)
          const before = texts.length
          client.send(rest)
          await until(() => texts.length > before)
          client.send(get('/next'))
          results.push((await client.untilClosed()).replace(/Date: [^\r]*/g, 'Date: D'))
        }
      }
    }
    return results
  }
}

/** So much that it cannot be on its way at once. */
const LONG = 3_000_000

function digest(text: string): string {
  return createHash('sha1').update(text, 'latin1').digest('hex')
}

export const bodies: Scenarios = {
  'read by data and end': posted((req, res) => {
    let text = ''
    req.on('data', (chunk: Buffer) => {
      text += `${Buffer.isBuffer(chunk)}${chunk}`.replace('true', '')
    })
    req.on('end', () => res.end(`${text} ${req.complete} ${req.readableEnded}`))
  }),
  'read by for await': posted(async (req, res) => res.end(await collect(req))),
  'read 30 ms after the request': posted(async (req, res) => {
    await sleep(30)
    res.end(await collect(req))
  }),
  'read with an encoding': posted((req, res) => {
    const parts: unknown[] = []
    req.setEncoding('utf8')
    req.on('data', (text) => parts.push(typeof text))
    req.on('end', () => res.end([...new Set(parts)].join()))
  }),
  'read by readable': posted((req, res) => {
    let text = ''
    req.on('readable', () => {
      for (let chunk = req.read(); chunk !== null; chunk = req.read()) text += chunk
    })
    req.on('end', () => res.end(text))
  }),
  ...Object.fromEntries(
    Object.entries(beginnings).map(([name, begin]) => [
      `read by ${name}, from the turn of the answer on`,
      readBehind(begin),
    ]),
  ),
  'read by an end listener that a promise job adds': posted(async (req, res) => {
    let text = ''
    req.on('data', (chunk) => {
      text += chunk
    })
    await Promise.resolve()
    req.on('end', () => res.end(text))
  }),
  'the jobs of the handler run before the end of the body': async ({ serve }) => {
    const log: string[] = []
    const port = await serve(async (req, res) => {
      req.on('data', () => log.push('data')).on('end', () => res.end(log.join()))
      process.nextTick(() => process.nextTick(() => log.push('tick')))
      for (const job of ['job 1', 'job 2']) {
        await new Promise((resolve) => process.nextTick(resolve))
        log.push(job)
      }
    })
    return exchange(port, request('POST', '/', ['Content-Length: 5', 'Connection: close'], 'hello'))
  },
  'read with pauses': posted((req, res) => {
    let text = ''
    req.on('data', (chunk) => {
      text += chunk
      req.pause()
      setTimeout(() => req.resume(), 5)
    })
    req.on('end', () => res.end(text))
  }),
  'piped to the response': posted((req, res) => {
    // With a length, since how a body is cut into chunks is the engine's business.
    res.setHeader('Content-Length', 11)
    req.pipe(res)
  }),
  'piped, unpiped and resumed': posted((req, res) => {
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
    req.pipe(sink)
    req.unpipe(sink)
    req.resume()
    req.on('end', () => res.end('read'))
  }),
  'as a web stream': posted(async (req, res) => {
    res.end(await new Response(Readable.toWeb(req) as ReadableStream).text())
  }),
  'not read, while the application reuses the memory of the response': async ({ serve }) => {
    const scratch = Buffer.alloc(40_000)
    const port = await serve((req, res) => {
      const length = Number(req.url?.slice(1))
      const isLong = length > scratch.length
      const memory = isLong ? Buffer.alloc(length) : scratch
      res.end(memory.fill('a').subarray(0, length))
      if (isLong) structuredClone(memory.buffer, { transfer: [memory.buffer as ArrayBuffer] })
      else memory.fill('b')
    })
    const results: string[] = []
    for (const length of [10, 40_000, 100_000]) {
      const client = new RawClient(port)
      const body = ['Content-Length: 200000', 'Connection: close']
      client.send(request('POST', `/${length}`, body, 'begun'))
      const answer = await client.untilReceived('aaaaaaaaaa')
      results.push(answer.slice(answer.indexOf('\r\n\r\n')).slice(0, 14))
      client.send('x'.repeat(200_000 - 5))
      results.push(digest((await client.untilClosed()).replace(/^[\s\S]*\r\n\r\n/, '')))
    }
    return results
  },
  'not read: writableLength after end()': async ({ serve }) => {
    const results: unknown[] = []
    const port = await serve((req, res) => {
      if (req.url === '/pieces') res.write('pieces')
      res.end('over')
      results.push(res.writableFinished, res.writableLength, req.socket.writableLength)
    })
    for (const path of ['/pieces', '/whole']) {
      const client = new RawClient(port).send(
        request('POST', path, ['Content-Length: 200000'], 'begun'),
      )
      await client.untilReceived('over')
      client.destroy()
    }
    return results
  },
  'not read': posted((_req, res) => res.end('unread')),
  'not read, with a response 30 ms later': posted((_req, res) =>
    setTimeout(() => res.end('unread'), 30),
  ),
  'bodies that are not read do not delay the next request': async ({ serve }) => {
    const port = await serve((req, res) => res.end(`${req.method} ${req.url}`))
    const body = request('POST', '/1', ['Content-Length: 5'], 'hello')
    return exchange(port, body + body + get('/2'))
  },
  'trailers of a request': posted(async (req, res) => {
    await collect(req)
    res.end(JSON.stringify([req.trailers, req.rawTrailers]))
  }),
  'trailers of a request that has some': async ({ serve }) => {
    const port = await serve(async (req, res) => {
      await collect(req)
      res.end(JSON.stringify([req.trailers, req.rawTrailers]))
    })
    return exchange(port, request('POST', '/', CHUNKED, '1\r\na\r\n0\r\nX-T: 1\r\ny-t: 2\r\n\r\n'))
  },
  'the chunks of a request stay separate': async ({ serve }) => {
    const port = await serve(async (req, res) => {
      const pieces: string[] = []
      for await (const piece of req) pieces.push(String(piece))
      res.end(JSON.stringify(pieces))
    })
    const chunks = ['1\r\na\r\n', '2;ext=1\r\nbc\r\n', '3\r\ndef\r\n', '0\r\n\r\n']
    return exchange(port, request('POST', '/', CHUNKED, chunks.join('')))
  },
  'Expect: 100-continue': async ({ serve }) => {
    const port = await serve(async (req, res) => res.end(await collect(req)))
    const fields = ['Content-Length: 2', 'Expect: 100-continue', 'Connection: close']
    const client = new RawClient(port).send(request('POST', '/', fields))
    await client.untilReceived('100 Continue\r\n\r\n')
    return (await client.send('hi').untilClosed()).replace(/Date: [^\r]*/g, '')
  },
  'a long upload arrives whole at a slow reader': async ({ serve }) => {
    const text = 'x'.repeat(LONG)
    const port = await serve(async (req, res) => {
      const hash = createHash('sha1')
      let chunks = 0
      for await (const chunk of req) {
        hash.update(chunk as Buffer)
        if (chunks++ % 20 === 0) await sleep(1)
      }
      res.end(hash.digest('hex'))
    })
    const fields = [`Content-Length: ${LONG}`, 'Connection: close']
    const answer = await exchange(port, request('POST', '/', fields, text))
    return [answer, answer.endsWith(digest(text))]
  },
  'a long string is sent whole': async ({ serve }) => {
    const port = await serve((_req, res) => res.end('y'.repeat(LONG)))
    const answer = await exchange(port, get('/'))
    return [answer.length, digest(answer)]
  },
  'long bytes are sent whole, with backpressure': async ({ serve }) => {
    let drains = 0
    let refusals = 0
    const port = await serve(async (_req, res) => {
      res.setHeader('Content-Length', LONG)
      for (let left = LONG; left > 0; left -= 100_000) {
        if (res.write(Buffer.alloc(100_000, 'z'))) continue
        refusals++
        if (!res.writableNeedDrain) continue
        await new Promise((resolve) => res.once('drain', resolve))
        drains++
      }
      res.end()
    })
    const answer = await exchange(port, get('/'))
    return [answer.length, digest(answer), refusals > 0, drains === refusals]
  },
  'a stream piped to the response': async ({ serve }) => {
    let failure: unknown
    const port = await serve(async (_req, res) => {
      const source = Readable.from(
        (function* chunks() {
          for (let i = 0; i < 50; i++) yield Buffer.alloc(20_000, String(i % 10))
        })(),
      )
      await pipeline(source, res).catch((error: unknown) => {
        failure = String(error)
      })
    })
    const answer = await exchange(port, get('/'))
    // The size of chunks is the engine's business, what is in them is not.
    const digits = answer.slice(answer.indexOf('\r\n\r\n')).replace(/\r\n[0-9a-f]*(?=\r\n)/g, '')
    return [failure, digits.replace(/\r\n/g, '').length > 0, answer.includes('chunked')]
  },
  'the first chunk of a response is sent at once': async ({ serve }) => {
    const port = await serve((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.write('data: 1\n\n')
      setTimeout(() => res.end('data: 2\n\n'), 150)
    })
    const client = new RawClient(port).send(get('/'))
    const first = await client.untilReceived('data: 1')
    return [first.includes('data: 2'), (await client.untilClosed()).endsWith('0\r\n\r\n')]
  },
  'flushHeaders() sends the head at once': async ({ serve }) => {
    const port = await serve((_req, res) => {
      res.flushHeaders()
      setTimeout(() => res.end('later'), 150)
    })
    const client = new RawClient(port).send(get('/'))
    const first = await client.untilReceived('\r\n\r\n')
    return [first.includes('later'), (await client.untilClosed()).includes('later')]
  },
}
