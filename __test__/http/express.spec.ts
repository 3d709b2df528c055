import { channel } from 'node:diagnostics_channel'
import http from 'node:http'
import type { Socket } from 'node:net'
import test from 'ava'
import express from 'express'
import { native } from '../../ts/native/index.ts'
import { exchange, get, request } from './client.ts'
import { startNative, startNode, stopNative } from './engines.ts'
import { startOracle } from './suite.ts'

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

test.after.always(stopNative)

/** What is found by a prototype at the moment before Express sets its own. */
interface Seen {
  request: boolean
  response: boolean
}

/** An application that notes what prototypes its objects came with. */
function application(): { app: express.Express; seen: Seen[] } {
  const seen: Seen[] = []
  const app = express()
  const { setPrototypeOf } = Object
  app.get('/', (_req, res) => void res.type('text').send('hello'))
  app.use(
    '/sub',
    express.Router().get('/', (req, res) => void res.json([req.baseUrl, req.url, req.ip])),
  )
  Object.setPrototypeOf = (object: object, prototype: object | null) => {
    const had = Object.getPrototypeOf(object)
    if (prototype === app.request) seen.push({ request: had === prototype, response: false })
    if (prototype === app.response) {
      const last = seen.at(-1)
      if (last !== undefined) last.response = had === prototype
    }
    return setPrototypeOf(object, prototype)
  }
  restore = () => {
    Object.setPrototypeOf = setPrototypeOf
  }
  return { app, seen }
}

let restore = (): void => {}
test.afterEach.always(() => restore())

const ALONE = [{ request: true, response: true }]
const NOT_ALONE = [{ request: false, response: false }]

for (const [name, start] of Object.entries(engines)) {
  test.serial(
    `${name}: requests to Express alone have its prototypes from the start`,
    async (t) => {
      const { app, seen } = application()
      const { port, close } = await start(http.createServer(app))
      t.regex(await exchange(port, get('/')), /hello$/)
      t.deepEqual(seen, ALONE)
      close()
    },
  )

  test.serial(
    `${name}: with a listener before Express the objects have node's prototypes`,
    async (t) => {
      const { app, seen } = application()
      const server = http.createServer(app)
      let query: unknown
      server.prependListener('request', (req) => {
        Object.assign(req, { query: 'mine' })
        query = Reflect.get(req, 'query')
      })
      const { port, close } = await start(server)
      await exchange(port, get('/'))
      t.deepEqual(seen, NOT_ALONE)
      t.is(query, 'mine')
      close()
    },
  )

  test.serial(`${name}: a listener added later is detected for the next request`, async (t) => {
    const { app, seen } = application()
    const server = http.createServer(app)
    const { port, close } = await start(server)
    await exchange(port, get('/'))
    server.prependListener('request', () => {})
    await exchange(port, get('/'))
    t.deepEqual(seen, [...ALONE, ...NOT_ALONE])
    close()
  })

  test.serial(
    `${name}: with a subscriber to requests the objects have node's prototypes`,
    async (t) => {
      const { app, seen } = application()
      const { port, close } = await start(http.createServer(app))
      const subscriber = (): void => {}
      channel('http.server.request.start').subscribe(subscriber)
      await exchange(port, get('/'))
      channel('http.server.request.start').unsubscribe(subscriber)
      t.deepEqual(seen, NOT_ALONE)
      close()
    },
  )

  test.serial(`${name}: with a replaced emit the objects have node's prototypes`, async (t) => {
    const { app, seen } = application()
    const server = http.createServer(app)
    const { port, close } = await start(server)
    const { emit } = server
    server.emit = ((...args: unknown[]) => Reflect.apply(emit, server, args)) as typeof emit
    await exchange(port, get('/'))
    t.deepEqual(seen, NOT_ALONE)
    close()
  })

  test.serial(
    `${name}: the request of an upgrade has node's prototype beside Express`,
    async (t) => {
      const { app, seen } = application()
      const server = http.createServer(app)
      const requests: http.IncomingMessage[] = []
      for (const event of ['upgrade', 'connect']) {
        server.on(event, (req: http.IncomingMessage, socket: Socket) => {
          requests.push(Object.assign(req, { query: 'mine' }))
          socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
        })
      }
      const { port, close } = await start(server)
      await exchange(port, request('GET', '/', ['Connection: Upgrade', 'Upgrade: x']))
      await exchange(port, request('CONNECT', 'a:1', []))
      t.deepEqual(
        requests.map(Object.getPrototypeOf),
        Array(2).fill(http.IncomingMessage.prototype),
      )
      await exchange(port, get('/'))
      t.deepEqual(seen, ALONE)
      close()
    },
  )

  test.serial(`${name}: Express sends the same responses as on node`, async (t) => {
    const { app } = application()
    const ours = await start(http.createServer(app))
    const oracle = await startOracle(http.createServer(app))
    for (const path of ['/', '/sub', '/missing']) {
      t.is(await exchange(ours.port, get(path)), await exchange(oracle.port, get(path)))
    }
    ours.close()
    oracle.close()
  })
}
