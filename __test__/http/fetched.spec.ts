/** Answers of fetch style that are what native `fetch` has got from elsewhere. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import test from 'ava'
import type { FetchFunction } from '../../ts/http/fetch.ts'
import { native } from '../../ts/native/index.ts'
import { startNative, startNode, stopNative } from './engines.ts'

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

const TEXT = 'decoded '.repeat(100)
const BODIES: Readonly<Record<string, Uint8Array>> = {
  gzip: gzipSync(TEXT),
  br: brotliCompressSync(TEXT),
  'deflate, gzip': gzipSync(deflateSync(TEXT)),
  // Native does not know it.
  other: Buffer.from(TEXT),
}

const upstream = http.createServer((req, res) => {
  const coding = decodeURIComponent((req.url ?? '').slice(1))
  const body = BODIES[coding]
  res.writeHead(200, { 'Content-Encoding': coding, 'Content-Length': body?.length, 'X-A': 'b' })
  res.end(req.method === 'HEAD' ? undefined : body)
})

let origin = ''

test.before(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
})

test.after.always(() => {
  upstream.close()
  upstream.closeAllConnections()
  stopNative()
})

const from = ({ url, method }: Request, asked = method) =>
  fetch(origin + new URL(url).pathname, { method: asked })

const ways: Readonly<Record<string, FetchFunction>> = {
  returned: (req) => from(req),
  'asked for by GET': (req) => from(req, 'GET'),
  'made anew': async (req) => {
    const got = await from(req, 'GET')
    return new Response(got.body, got)
  },
  cloned: async (req) => (await from(req, 'GET')).clone(),
}

for (const [name, start] of Object.entries(engines)) {
  for (const [title, answer] of Object.entries(ways)) {
    test.serial(
      `${name}: a decoded body is sent without its Content-Encoding, ${title}`,
      async (t) => {
        const { port, close } = await start({ style: 'fetch', fetch: answer })
        for (const coding of Object.keys(BODIES)) {
          const isDecoded = coding !== 'other'
          for (const method of ['GET', 'HEAD']) {
            const { headers, body } = await ask(port, `/${encodeURIComponent(coding)}`, method)
            t.is(headers['x-a'], 'b')
            t.is(headers['content-encoding'], isDecoded ? undefined : coding)
            t.is(headers['content-length'], isDecoded ? undefined : `${TEXT.length}`)
            t.is(body, method === 'HEAD' ? '' : TEXT)
          }
        }
        close()
      },
    )
  }
}

interface Answer {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** Not by fetch, which would decode. */
async function ask(port: number, path: string, method: string): Promise<Answer> {
  const res = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.request({ port, path, method, agent: false }, resolve).on('error', reject).end()
  })
  let body = ''
  for await (const chunk of res.setEncoding('utf8')) body += chunk
  return { headers: res.headers, body }
}
