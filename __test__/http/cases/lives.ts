/** Events and callbacks, in which order, and what is found in them. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { finished, pipeline, Readable } from 'node:stream'
import { exchange, get, RawClient, request, sleep } from '../client.ts'
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
  return async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      listen(req, res, log)
      program(req, res, log)
    })
    const answer = await exchange(port, text)
    await sleep(40)
    return [answer, log]
  }
}

/** Logs what happens when the client leaves. */
function left(program: Program, text: string, leave: (client: RawClient) => void): Scenario {
  return async ({ serve }) => {
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
    await sleep(20)
    leave(client)
    await sleep(80)
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
  'end at once': logged((_req, res) => res.end('x')),
  'end later': logged((_req, res) => setTimeout(() => res.end('x'), 20)),
  'end at once, request resumed': logged((req, res) => {
    req.resume()
    res.end('x')
  }),
  'request resumed, end later': logged((req, res) => {
    req.resume()
    setTimeout(() => res.end('x'), 20)
  }),
  'end after a promise': logged(async (_req, res) => {
    await null
    res.end('x')
  }),
  'end in nextTick': logged((_req, res) => process.nextTick(() => res.end('x'))),
  'write and end': logged((_req, res) => {
    res.write('a')
    res.end('b')
  }),
  'a posted body read': logged((req, res) => {
    req.on('data', () => {})
    req.on('end', () => res.end('x'))
  }, POST),
  'a posted body unread': logged((_req, res) => res.end('x'), POST),
  'for await, then end': logged(async (req, res, log) => {
    for await (const _chunk of req);
    log.push(`read ${req.destroyed} ${res.destroyed}`)
    res.end('x')
  }, POST),

  'finish is not in end': logged((_req, res, log) => {
    res.end('x')
    log.push('returned')
  }),
  'state in finish and close': logged((req, res, log) => {
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
  'the callback of end': logged((_req, res, log) => {
    res.end('x', () => log.push('callback'))
    log.push('returned')
  }),
  'the callback of end without a chunk': logged((_req, res, log) =>
    res.end(() => log.push('callback')),
  ),
  'the callback of an end after the end': logged((_req, res, log) => {
    res.end('x')
    res.end((error?: Error) => log.push(`second ${error}`))
  }),
  'the callbacks of writes': logged((_req, res, log) => {
    res.write('a', () => log.push('first'))
    res.write('b', 'utf8', () => log.push('second'))
    res.end('c', () => log.push('end'))
  }),
  'a write after the end': logged((_req, res, log) => {
    res.end('x')
    log.push(String(res.write('y', (error) => log.push(String(error)))))
  }),
  'listeners added after end hear': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      res.end('x')
      listen(req, res, log)
    })
    await exchange(port, get('/'))
    await sleep(20)
    return log
  },
  'finished() of both': logged((req, res, log) => {
    finished(res, (error) => log.push(`res ${error}`))
    finished(req, (error) => log.push(`req ${error}`))
    res.end('x')
  }),
  'finished() after the fact': async ({ serve }) => {
    const log: string[] = []
    const port = await serve(async (req, res) => {
      res.end('x')
      await sleep(30)
      finished(res, (error) => log.push(`res ${error}`))
      finished(req, (error) => log.push(`req ${error}`))
    })
    await exchange(port, get('/'))
    await sleep(60)
    return log
  },
  'events of a response without listeners are not missed by once': async ({ serve }) => {
    const log: string[] = []
    const port = await serve(async (_req, res) => {
      setTimeout(() => res.end('x'), 10)
      await once(res, 'finish')
      log.push('finish')
      await once(res, 'close').then(() => log.push('close'))
    })
    await exchange(port, get('/'))
    await sleep(30)
    return log
  },

  'a long answer that is given at once comes whole to a client that has ended its side': async ({
    serve,
  }) => {
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

  'the client leaves before the answer': left(
    () => {},
    get('/'),
    (client) => client.destroy(),
  ),
  'the client leaves after its request was read': left(
    (req) => req.resume(),
    get('/'),
    (client) => client.destroy(),
  ),
  'the client leaves in the middle of its upload': inAnyOrder(
    left(
      (req) => req.resume(),
      UPLOAD,
      (client) => client.destroy(),
    ),
  ),
  'the client leaves in the middle of an upload that nobody reads': inAnyOrder(
    left(
      () => {},
      UPLOAD,
      (client) => client.destroy(),
    ),
  ),
  'the client leaves in the middle of the answer': inAnyOrder(
    left(
      (_req, res) => res.write('x'),
      get('/'),
      (client) => client.destroy(),
    ),
  ),
  'writes after the client has left': left(
    (_req, res, log) => {
      res.on('close', () => {
        log.push(String(res.write('x', (error) => log.push(String(error)))))
        log.push(String(res.headersSent))
      })
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'pipeline and the client leaves': left(
    (_req, res, log) => {
      const source = new Readable({ read() {} })
      source.push('x')
      pipeline(source, res, (error) => log.push(String(error)))
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'finished() and the client leaves': left(
    (req, res, log) => {
      finished(res, (error) => log.push(`res ${error}`))
      finished(req, (error) => log.push(`req ${error}`))
    },
    get('/'),
    (client) => client.destroy(),
  ),
  'destroy of the response': left(
    (_req, res) => res.destroy(),
    get('/'),
    () => {},
  ),
  'destroy of the socket': left(
    (req) => req.socket.destroy(),
    get('/'),
    () => {},
  ),
  'a failing pipeline leaves the answer possible': logged((req, res, log) => {
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
  }, POST),
  'an upload begun and not read is over with the answer': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.on('close', () => log.push('r.close'))
      res.end('x')
    })
    const client = new RawClient(port).send(request('POST', '/', ['Content-Length: 5']))
    await client.untilReceived('x')
    client.send(`hello${get('/')}`)
    await client.untilClosed()
    await sleep(40)
    return log
  },
  'a timeout of the response calls back and ends nothing': logged((_req, res, log) => {
    res.setTimeout(30, () => {
      log.push(`timeout ${res.destroyed}`)
      res.end('x')
    })
  }),
  'a timeout of the request': logged((req, res, log) => {
    req.setTimeout(30, () => {
      log.push('timeout')
      res.end('x')
    })
  }),
  'a timeout that nobody hears ends the connection': left(
    (req) => req.socket.setTimeout(20),
    get('/'),
    () => {},
  ),
  "the server's timeout": async ({ serve }) => {
    let heard = 0
    const server = http.createServer(() => {})
    server.setTimeout(30, (socket) => {
      heard++
      socket.destroy()
    })
    return [await exchange(await serve(server), get('/')), heard]
  },
  'destroySoon after the answer': logged((req, res) => {
    res.end('x')
    ;(req.socket as unknown as { destroySoon(): void }).destroySoon()
  }),
  'the socket closes when the client leaves idle': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((req, res) => {
      req.socket.on('close', () => log.push('closed'))
      res.end('x')
    })
    const client = new RawClient(port).send(request('GET', '/', []))
    await client.untilReceived('x')
    log.push('answered')
    client.destroy()
    await sleep(60)
    return log
  },
}
