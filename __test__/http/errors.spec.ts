import http from 'node:http'
import test from 'ava'
import type { Target } from '../../ts/engine/engine.ts'
import { respondToRejection, respondToThrow } from '../../ts/http/uncaught-errors.ts'
import { native } from '../../ts/native/index.ts'
import { usesLog } from '../uses.ts'
import { exchange, get, request } from './client.ts'
import { logged, startNative, startNode, stopNative } from './engines.ts'

/** What fails, and where; the rest of the program continues. */
const listener: http.RequestListener = (req, res) => {
  if (req.url === '/throw') throw new Error('thrown')
  if (req.url === '/head') res.writeHead(200, { a: 'b\nc' })
  if (req.url === '/phrase') {
    res.statusMessage = 'Fine'
    throw new Error('phrase')
  }
  if (req.url === '/tick') process.nextTick(() => raise('tick'))
  else if (req.url === '/sent') res.write('x', () => raise('sent'))
  else if (req.url === '/promise') return Promise.reject(new Error('promise'))
  else res.end('ok')
}

const fetch: Target = {
  style: 'fetch',
  fetch(request) {
    if (request.url.endsWith('/throw')) throw new Error('thrown')
    if (request.url.endsWith('/promise')) return Promise.reject(new Error('promise'))
    if (request.url.endsWith('/nothing')) return undefined as never
    if (request.url.endsWith('/body')) return new Response(failingBody())
    return new Response('ok')
  },
}

/** Sends a piece, and fails. */
function failingBody(): ReadableStream {
  let pulls = 0
  return new ReadableStream({
    async pull(controller) {
      pulls += 1
      if (pulls === 2) throw new Error('no more')
      controller.enqueue(new TextEncoder().encode('piece'))
    },
  })
}

function raise(text: string): never {
  throw new Error(text)
}

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

/** What the process has seen; ava's own listeners would fail the test. */
const uncaught: string[] = []

test.before(() => {
  process.removeAllListeners('uncaughtException')
  process.removeAllListeners('unhandledRejection')
  process.on('uncaughtException', (error) => {
    uncaught.push(error.message)
    respondToThrow()
  })
  process.on('unhandledRejection', (reason, promise) => {
    uncaught.push((reason as Error).message)
    respondToRejection(promise)
  })
})
test.after.always(stopNative)

for (const [name, start] of Object.entries(engines)) {
  for (const where of ['throw', 'tick', 'promise']) {
    test.serial(
      `${name}: an error in a ${where} fails one response, and is emitted once`,
      async (t) => {
        const { port, close } = await start(http.createServer(listener))
        uncaught.length = 0
        t.regex(await exchange(port, get(`/${where}`)), /^HTTP\/1.1 500 Internal Server Error\r\n/)
        t.deepEqual(uncaught, [where === 'throw' ? 'thrown' : where])
        t.regex(await exchange(port, get('/')), /ok$/)
        close()
      },
    )
  }

  for (const where of ['head', 'phrase']) {
    test.serial(`${name}: nothing of a ${where} that was not sent is kept`, async (t) => {
      const { port, close } = await start(http.createServer(listener))
      t.regex(await exchange(port, get(`/${where}`)), /^HTTP\/1.1 500 Internal Server Error\r\n/)
      close()
    })
  }

  test.serial(`${name}: a throw after the head cuts the response off`, async (t) => {
    const { port, close } = await start(http.createServer(listener))
    const answer = await exchange(port, get('/sent'))
    t.regex(answer, /^HTTP\/1.1 200 OK\r\n/)
    t.false(answer.endsWith('0\r\n\r\n'))
    close()
  })

  test.serial(
    `${name}: a request after a throw gets a response or a closed connection`,
    async (t) => {
      const { port, close } = await start(http.createServer(listener))
      const answer = await exchange(port, request('GET', '/throw', []) + get('/'))
      t.regex(answer, /^HTTP\/1.1 500 .*\r\n(?:[^\r]+\r\n)*(?:Connection: close\r\n|[\s\S]*ok$)/)
      close()
    },
  )

  test.serial(`${name}: a response body that fails is cut off and logged`, async (t) => {
    const { port, close } = await start(fetch)
    logged.length = 0
    uncaught.length = 0
    const answer = await exchange(port, get('/body'))
    t.false(answer.endsWith('0\r\n\r\n'), answer)
    t.deepEqual(uncaught, [])
    t.deepEqual(logged, ['the response body of GET /body failed: Error: no more'])
    usesLog(t, () => `error ${logged[0]}`)
    close()
  })

  for (const where of ['throw', 'promise', 'nothing']) {
    test.serial(
      `${name}: a fetch function's ${where} gets a 500 response and is logged`,
      async (t) => {
        const { port, close } = await start(fetch)
        logged.length = 0
        uncaught.length = 0
        t.regex(await exchange(port, get(`/${where}`)), /^HTTP\/1.1 500 Internal Server Error\r\n/)
        t.deepEqual(uncaught, [])
        t.is(logged.length, 1)
        t.regex(logged[0] ?? '', new RegExp(`GET /${where} failed`))
        usesLog(t, () => `error ${logged[0]}`)
        close()
      },
    )
  }
}
