/** Events and callbacks, in which order, and what is found in them. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { finished, pipeline, Readable } from 'node:stream'
import { exchange, get, RawClient, request, until } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Program = (req: IncomingMessage, res: ServerResponse, log: string[]) => void

const REQUEST_EVENTS = ['end', 'close', 'error', 'aborted']
const RESPONSE_EVENTS = ['prefinish', 'finish', 'close', 'error']

function listen(req: IncomingMessage, res: ServerResponse, log: string[]): void {
  for (const name of REQUEST_EVENTS) req.on(name, () => log.push(`r.${name}`))
  for (const name of RESPONSE_EVENTS) res.on(name, () => log.push(`s.${name}`))
}

/** Logs the events of one exchange. */
function logged(program: Program, text = get('/')): Scenario {
  return async ({ serve, settled }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      listen(req, res, log)
      program(req, res, log)
    })
    const answer = await exchange(port, text)
    await settled(log)
    return [answer, log]
  }
}

/** Logs the events when the client disconnects. */
function left(program: Program, text: string, leave: (client: RawClient) => void): Scenario {
  return async ({ serve, settled }) => {
    const log: string[] = []
    let started: () => void = () => {}
    const handled = new Promise<void>((resolve) => {
      started = resolve
    })
    let objects: [IncomingMessage, ServerResponse] | undefined
    const port = await serve((req, res) => {
      objects = [req, res]
      listen(req, res, log)
      program(req, res, log)
      started()
    })
    const client = new RawClient(port).send(text)
    await handled
    await settled(log)
    leave(client)
    await settled(log)
    const [req, res] = objects ?? []
    const state = [
      req?.destroyed,
      req?.aborted,
      req?.readableAborted,
      req?.closed,
      (req?.errored as NodeJS.ErrnoException | null | undefined)?.code,
      req?.complete,
      res?.destroyed,
      res?.closed,
      res?.writableEnded,
      res?.writableFinished,
      Boolean(res?.socket),
    ]
    return [log, state]
  }
}

const POST = request('POST', '/', ['Content-Length: 5', 'Connection: close'], 'hello')
const UPLOAD = request('POST', '/', ['Content-Length: 500'], 'hello')

/** Of events that come from different threads only which, not in which order. */
function inAnyOrder(scenario: Scenario): Scenario {
  return async (stage) => {
    const [log, state] = (await scenario(stage)) as [string[], unknown]
    return [[...log].sort(), state]
  }
}

export const lives: Scenarios = {
  'events after end() in the handler': logged((_req, res) => res.end('x')),
  'events after end() in a later turn': logged((_req, res) => setTimeout(() => res.end('x'), 20)),
  'events of a resumed request and end() in the handler': logged((req, res) => {
    req.resume()
    res.end('x')
  }),
  'events of a resumed request and end() in a later turn': logged((req, res) => {
    req.resume()
    setTimeout(() => res.end('x'), 20)
  }),
  'events after end() in a promise job': logged(async (_req, res) => {
    await null
    res.end('x')
  }),
  'events after end() in nextTick': logged((_req, res) => process.nextTick(() => res.end('x'))),
  'events after write() and end()': logged((_req, res) => {
    res.write('a')
    res.end('b')
  }),
  "events of a POST that is read by 'data'": logged((req, res) => {
    req.on('data', () => {})
    req.on('end', () => res.end('x'))
  }, POST),
  'events of a POST that is not read': logged((_req, res) => res.end('x'), POST),
  'events of a POST that is read by for await': logged(async (req, res, log) => {
    for await (const _chunk of req);
    log.push(`read ${req.destroyed} ${res.destroyed}`)
    res.end('x')
  }, POST),

  "'finish' is not emitted within end()": logged((_req, res, log) => {
    res.end('x')
    log.push('returned')
  }),
  "the state of a response in 'finish' and in 'close'": logged((req, res, log) => {
    const look = (name: string) => () => {
      const {
        headersSent,
        finished: over,
        writableEnded,
        writableFinished,
        destroyed,
        closed,
      } = res
      log.push([name, headersSent, over, writableEnded, writableFinished, destroyed, closed].join())
      log.push(String([res.socket === null, Boolean(req.socket)]))
    }
    res.on('finish', look('finish'))
    res.on('close', look('close'))
    res.end('x')
  }),
  'the callback of end() with a chunk': logged((_req, res, log) => {
    res.end('x', () => log.push('callback'))
    log.push('returned')
  }),
  'the callback of end() without a chunk': logged((_req, res, log) =>
    res.end(() => log.push('callback')),
  ),
  'the callback of a second end() gets an error': logged((_req, res, log) => {
    res.end('x')
    res.end((error?: Error) => log.push(`second ${error}`))
  }),
  'the callbacks of writes run in order': logged((_req, res, log) => {
    res.write('a', () => log.push('first'))
    res.write('b', 'utf8', () => log.push('second'))
    res.end('c', () => log.push('end'))
  }),
  'a write after end() gets an error': logged((_req, res, log) => {
    res.end('x')
    log.push(String(res.write('y', (error) => log.push(String(error)))))
  }),
  "listeners added after end() get 'finish' and 'close'": async ({ serve, settled }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      res.end('x')
      listen(req, res, log)
    })
    await exchange(port, get('/'))
    await settled(log)
    return log
  },
  'finished() of the request and of the response': logged((req, res, log) => {
    finished(res, (error) => log.push(`res ${error}`))
    finished(req, (error) => log.push(`req ${error}`))
    res.end('x')
  }),
  'finished() of a request and a response that have closed': async ({ serve }) => {
    const log: string[] = []
    const port = await serve(async (req, res) => {
      res.end('x')
      await until(() => res.closed)
      finished(res, (error) => log.push(`res ${error}`))
      finished(req, (error) => log.push(`req ${error}`))
    })
    await exchange(port, get('/'))
    await until(() => log.length === 2)
    return log
  },
  "once() of a response's 'finish' without other listeners": async ({ serve, settled }) => {
    const log: string[] = []
    const port = await serve(async (_req, res) => {
      setTimeout(() => res.end('x'), 10)
      await once(res, 'finish')
      log.push('finish')
      await once(res, 'close').then(() => log.push('close'))
    })
    await exchange(port, get('/'))
    await until(() => log.length > 0)
    await settled(log)
    return log
  },

  'a half-closed client gets the whole of a long response': async ({ serve }) => {
    const port = await serve((_req, res) => {
      res.setHeader('Content-Length', 1_000_000)
      for (let piece = 0; piece < 10; piece++) res.write(Buffer.alloc(100_000, 'x'))
      res.end()
    })
    const client = new RawClient(port)
    client.socket.end(request('GET', '/', []))
    const answer = await client.untilClosed()
    return answer.length - answer.indexOf('\r\n\r\n')
  },

  'a client that closes before the response': left(
    () => {},
    get('/'),
    (client) => client.destroy(),
  ),
  'a client that closes after its request was read': left(
    (req) => req.resume(),
    get('/'),
    (client) => client.destroy(),
  ),
  'a client that closes during its upload': inAnyOrder(
    left(
      (req) => req.resume(),
      UPLOAD,
      (client) => client.destroy(),
    ),
  ),
  'a client that closes during an upload that is not read': inAnyOrder(
    left(
      () => {},
      UPLOAD,
      (client) => client.destroy(),
    ),
  ),
  'a client that closes during the response': inAnyOrder(
    left(
      (_req, res) => res.write('x'),
      get('/'),
      (client) => client.destroy(),
    ),
  ),
  'a write after the client has closed': left(
    (_req, res, log) => {
      res.on('close', () => {
        log.push(String(res.write('x', (error) => log.push(String(error)))))
        log.push(String(res.headersSent))
      })
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'a pipeline() whose client closes': left(
    (_req, res, log) => {
      const source = new Readable({ read() {} })
      source.push('x')
      pipeline(source, res, (error) => log.push(String(error)))
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'finished() of a request whose client closes': left(
    (req, res, log) => {
      finished(res, (error) => log.push(`res ${error}`))
      finished(req, (error) => log.push(`req ${error}`))
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'destroy() of the response before its head': left(
    (_req, res) => res.destroy(),
    get('/'),
    () => {},
  ),
  'destroy() of the socket before the response': left(
    (req) => req.socket.destroy(),
    get('/'),
    () => {},
  ),
  'a response is possible after a pipeline() from the request has failed': logged(
    (req, res, log) => {
      pipeline(
        req,
        async () => {
          throw new Error('no')
        },
        (error) => {
          log.push(`${error} ${Boolean(req.socket)} ${req.destroyed}`)
          res.statusCode = 400
          res.end('bad')
        },
      )
    },
    POST,
  ),
  'an upload that is not read closes after the response': async ({ serve, settled }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.on('close', () => log.push('r.close'))
      res.end('x')
    })
    const client = new RawClient(port).send(request('POST', '/', ['Content-Length: 5']))
    await client.untilReceived('x')
    client.send(`hello${get('/')}`)
    await client.untilClosed()
    await settled(log)
    return log
  },
  'res.setTimeout() calls back and keeps the connection open': logged((_req, res, log) => {
    res.setTimeout(30, () => {
      log.push(`timeout ${res.destroyed}`)
      res.end('x')
    })
  }),
  'req.setTimeout() calls back': logged((req, res, log) => {
    req.setTimeout(30, () => {
      log.push('timeout')
      res.end('x')
    })
  }),
  "a timeout without a 'timeout' listener closes the connection": left(
    (req) => req.socket.setTimeout(20),
    get('/'),
    () => {},
  ),
  'server.setTimeout() calls back with the socket': async ({ serve }) => {
    let calls = 0
    const server = http.createServer(() => {})
    server.setTimeout(30, (socket) => {
      calls++
      socket.destroy()
    })
    return [await exchange(await serve(server), get('/')), calls]
  },
  'the client has the response of an immediate before the next immediates run': async ({
    serve,
  }) => {
    let isReceived = false
    let isFirst = false
    const port = await serve((_req, res) => {
      res.on('finish', () => setImmediate(() => (isFirst ||= isReceived)))
      setImmediate(() => res.end('x'))
    })
    // On a busy machine, the I/O thread may send one of them a moment later.
    for (let requests = 0; requests < 20 && !isFirst; requests++) {
      isReceived = false
      const client = new RawClient(port).send(get('/'))
      client.socket.once('data', () => {
        isReceived = true
      })
      await client.untilClosed()
    }
    return isFirst
  },
  'destroySoon() of the socket after end()': logged((req, res) => {
    res.end('x')
    ;(req.socket as unknown as { destroySoon(): void }).destroySoon()
  }),
  'the socket of an idle connection closes with its client': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.socket.on('close', () => log.push('closed'))
      res.end('x')
    })
    const client = new RawClient(port).send(request('GET', '/', []))
    await client.untilReceived('x')
    log.push('answered')
    client.destroy()
    await until(() => log.includes('closed'))
    return log
  },
}
