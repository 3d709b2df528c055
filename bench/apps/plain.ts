// Serves an application as its own documentation describes for node:http: the baseline of the
// engines.

import { createServer, type RequestListener, Server } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { serve } from '@hono/node-server'
import type { FastifyInstance } from 'fastify'
import type { Hono } from 'hono'
import type Koa from 'koa'

interface PlainOptions {
  readonly port: number
  readonly http2: boolean
  readonly identity: { readonly cert: string; readonly key: string } | null
}

export async function servePlain(
  name: string,
  app: unknown,
  { port, http2: isHttp2, identity }: PlainOptions,
): Promise<void> {
  const host = '127.0.0.1'
  if (isHttp2 || identity !== null) {
    return void otherThanHttp(app as RequestListener, isHttp2, identity).listen(port, host)
  }
  if (name === 'fastify') await (app as FastifyInstance).listen({ port, host })
  else if (name === 'hono') serve({ fetch: (app as Hono).fetch, port, hostname: host })
  else if (name === 'koa') createServer((app as Koa).callback()).listen(port, host)
  else if (app instanceof Server) app.listen(port, host)
  else createServer(app as RequestListener).listen(port, host)
}

function otherThanHttp(
  app: RequestListener,
  isHttp2: boolean,
  identity: PlainOptions['identity'],
): http2.Http2Server | https.Server | http2.Http2SecureServer {
  if (identity !== null && !isHttp2) return https.createServer(identity, app)
  const server = identity === null ? http2.createServer() : http2.createSecureServer(identity)
  // What node's two kinds of requests have in common is all that the application uses.
  return server.on('request', app as never)
}
