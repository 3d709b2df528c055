/** `Expect`, and answers before the answer (1xx). */
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { exchange, get, RawClient, request } from '../client.ts'
import type { Scenarios } from '../suite.ts'

const CONTINUE = ['Content-Length: 2', 'Expect: 100-continue']

/** What a client receives that sends its body only after 100 Continue. */
async function patient(port: number, fields: string[]): Promise<string> {
  const client = new RawClient(port).send(request('POST', '/', fields))
  const first = await client.untilReceived('\r\n\r\n')
  if (first.startsWith('HTTP/1.1 100')) client.send('ok')
  const received = await client.untilClosed()
  return received.replace(/Date: [^\r]*/g, '')
}

async function body(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of req) text += chunk
  return text
}

export const expectations: Scenarios = {
  '100 Continue comes before the handler runs, once': async ({ serve }) => {
    const port = await serve(async (req, res) => res.end(`got ${await body(req)}`))
    return patient(port, [...CONTINUE, 'Connection: close'])
  },
  '100 Continue is sent even if there is no body': async ({ serve }) => {
    const port = await serve((_req, res) => res.end('answer'))
    return exchange(port, get('/', 'Expect: 100-continue'))
  },
  '100-continue is recognized in any case and among other expectations': async ({ serve }) => {
    const port = await serve((req, res) => res.end(req.headers.expect))
    return [
      await exchange(port, get('/', 'Expect: 100-CONTINUE')),
      await exchange(port, get('/', 'Expect: x, 100-continue')),
    ]
  },
  "a 'checkContinue' listener sends 100 Continue itself": async ({ serve }) => {
    const log: string[] = []
    const server = http.createServer(() => log.push('request'))
    server.on('checkContinue', async (req: IncomingMessage, res: ServerResponse) => {
      log.push('checkContinue')
      res.writeContinue()
      res.end(`got ${await body(req)}`)
    })
    return [await patient(await serve(server), [...CONTINUE, 'Connection: close']), log]
  },
  "a 'checkContinue' listener may emit 'request'": async ({ serve }) => {
    const server = http.createServer(async (req, res) => res.end(`got ${await body(req)}`))
    server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
      res.writeContinue()
      server.emit('request', req, res)
    })
    return patient(await serve(server), [...CONTINUE, 'Connection: close'])
  },
  'a refusal without 100 Continue closes the connection': async ({ serve }) => {
    const server = http.createServer()
    server.on('checkContinue', (_req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(413).end('no')
    })
    return patient(await serve(server), CONTINUE)
  },
  'an unknown expectation gets 417, and the connection stays open': async ({ serve }) => {
    const port = await serve((_req, res) => res.end('served'))
    const client = new RawClient(port).send(request('GET', '/', ['Expect: tea']))
    await client.untilReceived('417')
    return (await client.send(get('/')).untilClosed()).replace(/Date: [^\r]*/g, '')
  },
  "a 'checkExpectation' listener responds to an unknown expectation": async ({ serve }) => {
    const server = http.createServer((_req, res) => res.end('served'))
    server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => {
      res.end(`expects ${req.headers.expect}`)
    })
    return exchange(await serve(server), get('/', 'Expect: tea'))
  },
  'Expect is ignored on HTTP/1.0': async ({ serve }) => {
    const port = await serve(async (req, res) => res.end(`got ${await body(req)}`))
    const head = 'POST / HTTP/1.0\r\nExpect: tea\r\nContent-Length: 2\r\n\r\nok'
    return exchange(port, head)
  },
  'interim responses of each kind precede the response': async ({ serve }) => {
    const log: string[] = []
    const port = await serve((_req, res) => {
      res.writeProcessing(() => log.push('processing'))
      res.writeEarlyHints(
        { link: ['</a.css>; rel=preload', '</b.js>; rel=preload'], 'x-y': 'z' },
        () => log.push('hints'),
      )
      // From Node 24.
      Reflect.get(res, 'writeInformation')?.call(res, 110, { a: '1' })
      res.end('answer', () => log.push('end'))
    })
    return [await exchange(port, get('/')), log]
  },
  'early hints without a link send nothing, and an invalid link throws': async ({ serve }) => {
    const port = await serve((_req, res) => {
      res.writeEarlyHints({ link: [] })
      let code: unknown
      try {
        res.writeEarlyHints({ link: 'bad' })
      } catch (error) {
        code = (error as NodeJS.ErrnoException).code
      }
      res.end(String(code))
    })
    return exchange(port, get('/'))
  },
}
