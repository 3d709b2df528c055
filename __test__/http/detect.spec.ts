import http from 'node:http'
import test from 'ava'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { MonocerosError } from '../../ts/errors.ts'
import { detectTarget } from '../../ts/http/detect.ts'
import type { ListenCapture } from '../../ts/http/node/listen.ts'

const nothing: ListenCapture = {
  server: undefined,
  waitForServer: async () => undefined,
  restoreListen() {},
}

interface Options {
  readonly exportName?: string
  readonly workerClass?: string
  readonly captured?: ListenCapture
}

async function detect(exports: unknown, options: Options = {}) {
  return detectTarget(exports, {
    exportName: options.exportName,
    workerClass: options.workerClass ?? 'auto',
    captured: options.captured ?? nothing,
  })
}

const listener: http.RequestListener = (_req, res) => void res.end()
const fetchFunction = (_request: Request): Response => new Response()
const server = http.createServer(listener)

const styles: Readonly<
  Record<string, [exports: unknown, style: 'node' | 'fetch', options?: Options]>
> = {
  'a function of (req, res)': [{ default: listener }, 'node'],
  'a function of Request': [{ default: fetchFunction }, 'fetch'],
  'an object with fetch': [{ default: { fetch: fetchFunction } }, 'fetch'],
  'fetch as a named export': [{ fetch: fetchFunction }, 'fetch'],
  Express: [{ default: express() }, 'node'],
  Koa: [{ default: new Koa() }, 'node'],
  'the callback of Koa': [{ default: new Koa().callback() }, 'node'],
  Fastify: [{ default: fastify() }, 'node'],
  Hono: [{ default: new Hono() }, 'fetch'],
  // Like itty-router's: an await of it never settles.
  'a router whose every property is a function': [
    { default: new Proxy({}, { get: () => () => {} }) },
    'fetch',
  ],
  'an http.Server': [{ default: server }, 'node'],
  'a promise of an application': [{ default: Promise.resolve(express()) }, 'node'],
  'what a compiler makes of export default': [{ default: { default: listener } }, 'node'],
  'a named export': [{ app: listener, default: 5 }, 'node', { exportName: 'app' }],
  'a property of module.exports': [{ default: { app: listener } }, 'node', { exportName: 'app' }],
  'worker_class node': [{ default: () => {} }, 'node', { workerClass: 'node' }],
  'worker_class fetch': [
    { default: (_a: unknown, _b: unknown) => {} },
    'fetch',
    { workerClass: 'fetch' },
  ],
  'a server that listened, whatever is exported': [
    { default: { fetch: fetchFunction } },
    'node',
    { captured: { ...nothing, server } },
  ],
}

for (const [title, [exports, style, options]] of Object.entries(styles)) {
  test(`${title} is ${style} style`, async (t) => {
    t.is((await detect(exports, options)).style, style)
  })
}

test('an http.Server is detected as the application, exported or listening', async (t) => {
  t.like(await detect({ default: server }), { server })
  t.like(await detect({ default: listener }, { captured: { ...nothing, server } }), { server })
})

test('a Fastify instance is ready when it is detected', async (t) => {
  const app = fastify()
  let ready = false
  app.addHook('onReady', async () => {
    ready = true
  })
  t.like(await detect({ default: app }), { server: app.server })
  t.true(ready)
})

const failures: Readonly<
  Record<string, [exports: unknown, options: Options, code: string, text: RegExp]>
> = {
  'a missing export': [
    { app: listener },
    { exportName: 'ap' },
    'ERR_APP_EXPORT_MISSING',
    /does not export "ap"; it exports app/,
  ],
  'no export at all': [{}, {}, 'ERR_APP_NO_EXPORT', /it exports nothing\. Set module\.exports/],
  'a number': [{ default: 5 }, {}, 'ERR_APP_NOT_CALLABLE', /a number/],
  'an object of other things': [
    { default: { a: 1 } },
    {},
    'ERR_APP_NOT_CALLABLE',
    /an object with a/,
  ],
}

for (const [title, [exports, options, code, text]] of Object.entries(failures)) {
  test(`${title} is refused`, async (t) => {
    const error = await t.throwsAsync(detect(exports, options), { instanceOf: MonocerosError })
    t.is(String(error.code), code)
    t.is(error.exit, 4)
    t.regex(error.message, text)
  })
}
