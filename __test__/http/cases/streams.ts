/** Request and response as streams: backpressure, pipes, corks, ends. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished, PassThrough, pipeline, Readable, Transform, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline as piped } from 'node:stream/promises'
import {
  exchange,
  get,
  masked,
  nextTurn,
  RawClient,
  request,
  until,
  untilQuiet,
} from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Program = (req: IncomingMessage, res: ServerResponse, log: unknown[]) => unknown

function logged(program: Program, asked = get('/')): Scenario {
  return async ({ serve, settled }) => {
    const log: unknown[] = []
    let over = false
    const port = await serve((req, res) => {
      res.on('close', () => {
        over = true
      })
      program(req, res, log)
    })
    const answer = await exchange(port, asked)
    await until(() => over)
    await settled(log)
    return [answer, log]
  }
}

const CLOSE = ['Connection: close']
const POST = request('POST', '/', [...CLOSE, 'Content-Length: 11'], 'hello world')
const CHUNKED = request(
  'POST',
  '/',
  [...CLOSE, 'Transfer-Encoding: chunked'],
  '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n',
)

/** State of a response as a stream. */
function stateOf(res: ServerResponse): unknown[] {
  return [
    res.writable,
    res.writableEnded,
    res.writableFinished,
    res.writableLength,
    res.writableCorked,
    res.writableNeedDrain,
    res.writableObjectMode,
    res.destroyed,
    res.closed,
    res.errored,
    res.headersSent,
    res.finished,
  ]
}

const LONG = 2_000_000

export const streams: Scenarios = {
  'the stream state of a new response': logged((_req, res, log) => {
    log.push(stateOf(res))
    res.end()
  }),
  'the stream state of a response after a write': logged((_req, res, log) => {
    log.push(res.write('a'), res.headersSent)
    setImmediate(() => {
      log.push(stateOf(res))
      res.end()
    })
  }),
  'the stream state of a corked response': logged((_req, res, log) => {
    res.cork()
    log.push(res.writableCorked, res.write('a'), res.write('b'))
    res.uncork()
    log.push(res.writableCorked)
    res.end('c')
  }),
  'a response corked twice': logged((_req, res, log) => {
    res.cork()
    res.cork()
    res.write('a')
    res.uncork()
    log.push(res.writableCorked)
    res.write('b')
    res.uncork()
    res.end('c')
  }),
  'a response corked and ended': logged((_req, res) => {
    res.cork()
    res.write('a')
    res.write('b')
    res.end('c')
  }),
  'a response corked over several ticks': logged(async (_req, res) => {
    res.cork()
    res.write('a')
    await nextTurn()
    res.write('b')
    res.uncork()
    await nextTurn()
    res.end()
  }),
  'a corked response with a Content-Length': logged((_req, res) => {
    res.setHeader('content-length', 3)
    res.cork()
    res.write('a')
    res.write('b')
    res.uncork()
    res.end('c')
  }),
  'writes in several ticks': logged(async (_req, res) => {
    for (const part of ['a', 'b', 'c']) {
      res.write(part)
      await nextTurn()
    }
    res.end()
  }),
  'writes in several microtasks': logged(async (_req, res) => {
    for (const part of ['a', 'b', 'c']) {
      res.write(part)
      await null
    }
    res.end()
  }),
  'writes of several kinds in one tick': logged((_req, res) => {
    res.write('text')
    res.write(Buffer.from('bytes'))
    res.write('c3bc', 'hex')
    res.write('\u00fc', 'latin1')
    res.write('\u00fc')
    res.end(new Uint8Array([33]))
  }),
  'an empty write after the first write': logged((_req, res, log) => {
    res.write('a')
    log.push(res.write(''))
    res.end('')
  }),
  "a write beyond the high-water mark emits 'drain' later": async ({ serve }) => {
    const log: unknown[] = []
    const port = await serve((_req, res) => {
      res.writeHead(200, { 'content-length': LONG })
      log.push(res.write(Buffer.alloc(LONG, 'a')), res.writableNeedDrain, res.writableLength > 0)
      res.once('drain', () => {
        log.push('drain', res.writableLength, res.writableNeedDrain)
        res.end()
      })
    })
    const answer = await exchange(port, get('/'))
    return [answer.length, log]
  },
  "many writes beyond the high-water mark emit one 'drain'": async ({ serve }) => {
    let drains = 0
    let refused = 0
    const port = await serve(async (_req, res) => {
      res.on('drain', () => drains++)
      for (let i = 0; i < 20; i++) if (!res.write(Buffer.alloc(100_000, 'a'))) refused++
      await once(res, 'drain')
      res.end()
    })
    const answer = await exchange(port, get('/'))
    return [answer.length > 2_000_000, drains, refused > 0]
  },
  'a client that does not read stops the source of a pipe': async ({ serve }) => {
    let produced = 0
    let finishedAt = 0
    const port = await serve((_req, res) => {
      const source = new Readable({
        read() {
          produced += 65_536
          this.push(produced > 30_000_000 ? null : Buffer.alloc(65_536, 'a'))
        },
      })
      source.pipe(res).on('finish', () => {
        finishedAt = produced
      })
    })
    const client = new RawClient(port)
    client.socket.pause()
    client.send(get('/'))
    await until(() => produced > 0)
    await untilQuiet(() => produced, 100)
    const heldUp = produced < 29_000_000
    client.socket.resume()
    await client.untilClosed()
    await until(() => finishedAt > 0)
    return heldUp
  },
  'an application that does not read stops an upload': async ({ serve }) => {
    let request_: IncomingMessage | undefined
    const port = await serve((req, res) => {
      request_ = req
      req.on('end', () => res.end('x'))
    })
    const size = 30_000_000
    const client = new RawClient(port)
    client.send(request('POST', '/', [...CLOSE, `Content-Length: ${size}`]))
    // What is less than the stream's mark does not hold up what follows.
    client.socket.write(Buffer.alloc(60_000, 'a'))
    await until(() => request_ !== undefined)
    client.socket.write(Buffer.alloc(size - 60_000, 'a'))
    await untilQuiet(() => client.socket.bytesWritten - client.socket.writableLength, 100)
    const held = [request_?.complete, (request_?.readableLength ?? 0) < 1_000_000]
    request_?.resume()
    return [held, masked(await client.untilClosed())]
  },
  'pipe() ends the response': logged((_req, res) => Readable.from(['a', 'b', 'c']).pipe(res)),
  'pipe with end: false keeps the response open': logged((_req, res) => {
    const source = Readable.from(['a', 'b'])
    source.pipe(res, { end: false })
    source.on('end', () => res.end('c'))
  }),
  "pipe() and unpipe() emit 'pipe' and 'unpipe' on the response": logged((_req, res, log) => {
    const source = new PassThrough()
    res.on('pipe', (one) => log.push(['pipe', one === source]))
    res.on('unpipe', (one) => log.push(['unpipe', one === source]))
    source.pipe(res)
    source.write('a')
    setTimeout(() => {
      source.unpipe(res)
      res.end('b')
    }, 10)
  }),
  'pipeline of a request to its response': logged(
    (req, res, log) => pipeline(req, res, (error) => log.push(String(error))),
    POST,
  ),
  'pipeline through a transform': logged((req, res, log) => {
    const upper = new Transform({
      transform(chunk, _encoding, callback) {
        callback(null, String(chunk).toUpperCase())
      },
    })
    pipeline(req, upper, res, (error) => log.push(String(error)))
  }, POST),
  'pipeline() of stream/promises': logged(async (req, res, log) => {
    await piped(req, res)
    log.push(res.writableFinished, req.destroyed)
  }, POST),
  'a failing source destroys the response': logged((_req, res, log) => {
    const source = new Readable({ read() {} })
    source.push('a')
    res.on('error', (error) => log.push(`s.error ${error.message}`))
    pipeline(source, res, (error) => log.push(String(error), res.destroyed, stateOf(res)))
    setTimeout(() => source.destroy(new Error('source')), 20)
  }),
  'a response cannot be read': logged((_req, res, log) => {
    res.on('error', (error: NodeJS.ErrnoException) => log.push(error.code))
    res.pipe(new PassThrough())
    res.end('x')
  }),
  'pipeline() from an async generator': logged(async (_req, res, log) => {
    async function* parts() {
      yield 'a'
      await nextTurn()
      yield 'b'
    }
    await piped(parts, res)
    log.push('piped')
  }),
  'a break in the async iteration of a request destroys it': logged(async (req, res, log) => {
    for await (const chunk of req) {
      log.push(String(chunk).length > 0)
      break
    }
    log.push(req.destroyed)
    res.end('x')
  }, POST),
  'stream/consumers read a request': logged(async (req, res) => res.end(await text(req)), CHUNKED),
  'unshift() to a request, which is then read whole': logged((req, res) => {
    req.once('readable', () => {
      const first = req.read(5) as Buffer | null
      if (first !== null) req.unshift(first)
      text(req).then((whole) => res.end(whole))
    })
  }, POST),
  'the stream state of a request while it is read': logged((req, res, log) => {
    const state = (): void => {
      log.push([
        req.readable,
        req.readableFlowing,
        req.readableEnded,
        req.readableDidRead,
        req.readableAborted,
        req.readableLength,
        req.destroyed,
        req.closed,
        req.complete,
      ])
    }
    state()
    req.on('data', () => {})
    state()
    req.on('end', () => {
      state()
      res.end()
    })
    req.on('close', state)
  }, POST),
  'a slow writable stops the request that is piped to it': logged((req, res) => {
    let got = ''
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk, _encoding, callback) {
        got += chunk
        setTimeout(callback, 5)
      },
    })
    req.pipe(slow).on('finish', () => res.end(got))
  }, CHUNKED),
  'finished() of a request that has ended': logged(async (req, res, log) => {
    req.resume()
    await once(req, 'end')
    await new Promise<void>((resolve) => {
      finished(req, (error) => {
        log.push(String(error))
        resolve()
      })
    })
    res.end('x')
  }, POST),
  'trailers and a trailer header': logged((_req, res) => {
    res.setHeader('Trailer', 'X-Sum')
    res.write('a')
    res.addTrailers({ 'X-Sum': '1' })
    res.addTrailers([['X-Other', '2']])
    res.end('b')
  }),
  'trailers without a write': logged((_req, res) => {
    res.flushHeaders()
    res.addTrailers({ 'X-Sum': '1' })
    res.end()
  }),
  'trailers to HEAD': logged(
    (_req, res) => {
      res.write('a')
      res.addTrailers({ 'X-Sum': '1' })
      res.end()
    },
    request('HEAD', '/', CLOSE),
  ),
  'strictContentLength makes a write of a wrong length throw': logged((_req, res, log) => {
    res.strictContentLength = true
    res.setHeader('content-length', 3)
    res.write('ab')
    for (const call of [() => res.write('cd'), () => res.end(), () => res.end('c')]) {
      try {
        call()
        log.push('done')
      } catch (error) {
        log.push((error as NodeJS.ErrnoException).code)
      }
    }
  }),
  'writes to the response of a HEAD': logged(
    (_req, res, log) => {
      log.push(res.write('a', () => log.push('written')))
      res.end('b', () => log.push('ended'))
    },
    request('HEAD', '/', CLOSE),
  ),
  'writes to a 304 response': logged((_req, res, log) => {
    res.writeHead(304)
    log.push(res.write('a', () => log.push('written')))
    res.end(() => log.push('ended'))
  }),
  "the callback of end() runs in its place between 'prefinish' and 'finish'": logged(
    (_req, res, log) => {
      res.on('finish', () => log.push('finish'))
      res.on('prefinish', () => log.push('prefinish'))
      res.end('a', 'utf8', (...args: unknown[]) => log.push(['callback', args.length]))
      process.nextTick(() => log.push('tick'))
    },
  ),
  "end() in an 'end' listener of the request": logged((req, res) => {
    req.once('end', () => res.end('x'))
    req.resume()
  }, POST),
  'a write after destroy()': logged((_req, res, log) => {
    res.destroy()
    log.push(res.write('a', (error) => log.push((error as NodeJS.ErrnoException)?.code)))
    res.end('b', () => log.push('ended'))
    log.push(res.headersSent, res.finished, res.writableEnded)
  }),
  "destroy() in a 'finish' listener": logged((_req, res, log) => {
    res.on('finish', () => {
      log.push(res.destroyed)
      res.destroy()
    })
    res.end('x')
  }),
}
