/**
 * The server of `metrics_bind`, inside the arbiter. Its clients are not trusted: the number of
 * connections, the size of a head and every wait are bounded, and nothing of a body is kept.
 */

import http from 'node:http'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import zlib from 'node:zlib'

import { acceptsGzip } from './page.ts'

/** A request, as far as the pages need it. */
export interface PageRequest {
  readonly path: string
  readonly query: URLSearchParams
  readonly accept: string | undefined
}

/** The response to a request. */
export interface Page {
  readonly status: 200 | 404 | 503
  readonly contentType: string
  readonly body: string
  /** Further fields of the head. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Creates the response to a request. */
export type RenderPage = (request: PageRequest) => Promise<Page>

/** A running server. */
export interface PageServer {
  /** Stops to listen. Responses that have begun are finished. */
  close(): void
}

/** With more connections, the oldest one is closed: a probe is short, a hostile client is not. */
const MAX_CONNECTIONS = 64
const MAX_HEAD_BYTES = 8 * 1024
const HEAD_TIMEOUT_MS = 2_000
const REQUEST_TIMEOUT_MS = 5_000
const KEEPALIVE_MS = 5_000
/** A client that reads nothing of a response for this long is disconnected. */
const IDLE_TIMEOUT_MS = 10_000
/** A body below this size is not worth the compression. */
const MIN_GZIP_BYTES = 1_024

/** Compressed at once, within two milliseconds: a thread of the pool waits for a processor. */
const MAX_SYNC_GZIP_BYTES = 64 * 1024

const gzip = promisify(zlib.gzip)

/** Serves the pages on a listening descriptor, which the server owns from then on. */
export function servePages(
  fd: number,
  render: RenderPage,
  onError: (error: unknown) => void,
): PageServer {
  const sockets = new Set<Socket>()
  const options = {
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEPALIVE_MS,
    connectionsCheckingInterval: 1_000,
  }
  const server = http.createServer(options, (request, response) => {
    respond(request, response, render).catch((error: unknown) => {
      onError(error)
      response.destroy()
    })
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    const [oldest] = sockets
    if (sockets.size > MAX_CONNECTIONS) oldest?.destroy()
  })
  // An upgrade or CONNECT is not supported here.
  server.on('upgrade', (_request, socket) => socket.destroy())
  server.on('connect', (_request, socket) => socket.destroy())
  server.on('error', onError)
  server.listen({ fd })
  return {
    close() {
      server.close()
      server.closeIdleConnections()
    },
  }
}

async function respond(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  render: RenderPage,
): Promise<void> {
  request.resume()
  const isHead = request.method === 'HEAD'
  if (request.method !== 'GET' && !isHead) {
    // The rest of a body is not read.
    response.shouldKeepAlive = false
    response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Length': 0 }).end()
    return
  }
  const [path = '', query = ''] = splitTarget(request.url ?? '')
  const page = await render({
    path,
    query: new URLSearchParams(query),
    accept: request.headers.accept,
  })
  const text = Buffer.from(page.body)
  const isCompressed =
    text.length >= MIN_GZIP_BYTES && acceptsGzip(String(request.headers['accept-encoding'] ?? ''))
  const body = isCompressed ? await compress(text) : text
  response.writeHead(page.status, {
    'Content-Type': page.contentType,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    ...(isCompressed ? { 'Content-Encoding': 'gzip' } : {}),
    Vary: 'Accept, Accept-Encoding',
    'X-Content-Type-Options': 'nosniff',
    ...page.headers,
  })
  response.end(isHead ? undefined : body)
}

async function compress(text: Buffer): Promise<Buffer> {
  return text.length > MAX_SYNC_GZIP_BYTES ? await gzip(text) : zlib.gzipSync(text)
}

function splitTarget(target: string): [string, string] {
  const mark = target.indexOf('?')
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
}
