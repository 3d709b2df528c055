// Serves an application as its own documentation says for node:http: what the engines are measured against.

import { createServer, type RequestListener, Server } from 'node:http'
import { serve } from '@hono/node-server'
import type { FastifyInstance } from 'fastify'
import type { Hono } from 'hono'
import type Koa from 'koa'

export async function servePlain(name: string, app: unknown, port: number): Promise<void> {
  const host = '127.0.0.1'
  if (name === 'fastify') await (app as FastifyInstance).listen({ port, host })
  else if (name === 'hono') serve({ fetch: (app as Hono).fetch, port, hostname: host })
  else if (name === 'koa') createServer((app as Koa).callback()).listen(port, host)
  else if (app instanceof Server) app.listen(port, host)
  else createServer(app as RequestListener).listen(port, host)
}
