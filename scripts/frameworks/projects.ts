// The projects that `scripts/frameworks.ts` builds and serves. Each follows the starter of its
// framework's guide, and has a page, an API and a route that reads a body.

/** One request and the pattern that its response must match. */
export interface ExpectedResponse {
  readonly path: string
  readonly body?: string
  readonly fields?: Readonly<Record<string, string>>
  readonly expected: RegExp
}

export interface Project {
  /** Packages to install, with versions as npm takes them. */
  readonly packages: readonly string[]
  /** Contents of the project's files by path. */
  readonly files: Readonly<Record<string, string>>
  /** Fields of package.json in addition to `dependencies`. */
  readonly manifest?: Readonly<Record<string, unknown>>
  /** Arguments of `npx` for the build. */
  readonly build?: readonly string[]
  /** Folders to copy after the build (source: target), as the framework's guide requires. */
  readonly copies?: Readonly<Record<string, string>>
  /** Argument of the command: the application, relative to `cwd` in the project. */
  readonly app: string
  /** Arguments of the program itself. */
  readonly args?: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly requests: readonly ExpectedResponse[]
  /** Pattern that the page must match after a browser has run its scripts. */
  readonly page?: RegExp
  /** A program that takes the port as its argument and prints `ok` when its checks pass. */
  readonly client?: string
}

const JSON_POST = { body: '{"a":1}', fields: { 'content-type': 'application/json' } }
const echo = (path: string): ExpectedResponse => ({
  path,
  ...JSON_POST,
  expected: /"got":\{"a":1\}/,
})

const NEST_MODULE = `
import { Body, Controller, Get, Module, Param, Post, Sse } from '@nestjs/common'
import { interval, map, take } from 'rxjs'
@Controller()
class AppController {
  @Get('items/:id') item(@Param('id') id: string) { return { id } }
  @Post('echo') echo(@Body() body: unknown) { return { got: body } }
  @Sse('events') events() { return interval(20).pipe(take(3), map((n) => ({ data: { n } }))) }
}
@Module({ controllers: [AppController] })
export class AppModule {}
`

const NEST_BUILD = 'tsc --outDir dist --target es2022 --module commonjs --skipLibCheck'

function nest(adapter: string, create: string): Project {
  return {
    packages: [
      ...['@nestjs/core@12', '@nestjs/common@12', `@nestjs/platform-${adapter}@12`],
      ...['reflect-metadata', 'rxjs', 'typescript@5'],
    ],
    files: {
      'app.module.ts': NEST_MODULE,
      'main.ts': `
import 'reflect-metadata'
import { NestFactory } from '@nestjs/core'
import { AppModule } from './app.module'
${create}
async function bootstrap() {
  const app = await create()
  await app.listen(3000)
  console.log(await app.getUrl())
}
bootstrap()
`,
    },
    build: [
      ...NEST_BUILD.split(' '),
      ...['--experimentalDecorators', '--emitDecoratorMetadata', 'main.ts', 'app.module.ts'],
    ],
    app: 'dist/main.js',
    requests: [
      { path: '/items/7', expected: /\{"id":"7"\}/ },
      { path: '/events', expected: /data: \{"n":2\}/ },
      { path: '/missing', expected: /Cannot GET \/missing/ },
      echo('/echo'),
    ],
  }
}

const COUNTER = `
import { useEffect, useState } from 'react'
export default function Counter() {
  const [text, setText] = useState('')
  useEffect(() => { fetch('/api').then((r) => r.json()).then((j) => setText(j.hello)) }, [])
  return <p>{'browser ' + text}</p>
}
`

/** The finished server spans as `/spans` of the OpenTelemetry project prints them. */
const SPANS = new RegExp(
  [
    String.raw`\["GET /users/:id","/users/:id",200,"GET","b7ad6b7169203331",0\],`,
    String.raw`\["GET /fail","/fail",500,"GET",null,2\]`,
  ].join(''),
)

export const PROJECTS: Readonly<Record<string, Project>> = {
  'nest-express': nest(
    'express',
    "const create = () => NestFactory.create(AppModule, { logger: ['error'] })",
  ),
  'nest-fastify': nest(
    'fastify',
    `import { FastifyAdapter } from '@nestjs/platform-fastify'
const create = () => NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] })`,
  ),
  next: {
    packages: ['next@16', 'react@19', 'react-dom@19'],
    files: {
      'next.config.js':
        "module.exports = { output: 'standalone', outputFileTracingRoot: __dirname }",
      'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>',
      'app/counter.js': `'use client'\n${COUNTER}`,
      'app/page.js': `
import Counter from './counter'
export const dynamic = 'force-dynamic'
export default async function Page() { return <main><h1>server</h1><Counter /></main> }
`,
      'app/api/route.js': `
export const GET = () => Response.json({ hello: 'next' })
export const POST = async (request) => Response.json({ got: await request.json() })
`,
    },
    build: ['next', 'build'],
    copies: { '.next/static': '.next/standalone/.next/static' },
    app: 'server.js',
    cwd: '.next/standalone',
    requests: [
      { path: '/', expected: /<h1>server<\/h1>/ },
      { path: '/api', expected: /"hello":"next"/ },
      echo('/api'),
    ],
    page: /browser next/,
  },
  nitro: {
    packages: ['nitropack@2', 'h3@1'],
    files: {
      'nitro.config.ts':
        "export default { compatibilityDate: '2025-01-01', preset: 'node-server' }",
      'routes/index.ts': "export default defineEventHandler(() => ({ hello: 'nitro' }))",
      'routes/echo.post.ts':
        'export default defineEventHandler(async (event) => ({ got: await readBody(event) }))',
    },
    build: ['nitropack', 'build'],
    app: '.output/server/index.mjs',
    requests: [
      { path: '/', expected: /"hello":\s*"nitro"/ },
      { ...JSON_POST, path: '/echo', expected: /"a":\s*1/ },
    ],
  },
  sveltekit: {
    packages: [
      ...['svelte@5', '@sveltejs/kit@2', '@sveltejs/adapter-node@5'],
      ...['@sveltejs/vite-plugin-svelte', 'vite@8'],
    ],
    manifest: { type: 'module' },
    files: {
      'svelte.config.js': `
import adapter from '@sveltejs/adapter-node'
export default { kit: { adapter: adapter() } }
`,
      'vite.config.js': `
import { sveltekit } from '@sveltejs/kit/vite'
export default { plugins: [sveltekit()] }
`,
      'src/app.html':
        '<!doctype html><html><head>%sveltekit.head%</head>' +
        '<body><div>%sveltekit.body%</div></body></html>',
      'src/routes/+page.svelte': `
<script>
  import { onMount } from 'svelte'
  let text = $state('')
  onMount(async () => { text = (await (await fetch('/api')).json()).hello })
</script>
<h1>server</h1><p>{'browser ' + text}</p>
`,
      'src/routes/api/+server.js': `
import { json } from '@sveltejs/kit'
export const GET = ({ getClientAddress }) => json({ hello: 'svelte', from: getClientAddress() })
export const POST = async ({ request }) => json({ got: await request.json() })
`,
    },
    build: ['vite', 'build'],
    app: 'build/index.js',
    requests: [
      { path: '/', expected: /<h1>server<\/h1>/ },
      { path: '/api', expected: /"from":"127\.0\.0\.1"/ },
      echo('/api'),
    ],
    page: /browser svelte/,
  },
  'react-router': {
    packages: [
      ...['react@19', 'react-dom@19', 'react-router@7', '@react-router/node@7'],
      ...['@react-router/express@7', '@react-router/dev@7', 'isbot', 'vite@7', 'express@5'],
    ],
    manifest: { type: 'module' },
    files: {
      'react-router.config.js': "export default { ssr: true, appDirectory: 'app' }",
      'vite.config.js': `
import { reactRouter } from '@react-router/dev/vite'
export default { plugins: [reactRouter()] }
`,
      'app/routes.js': `
import { index, route } from '@react-router/dev/routes'
export default [index('home.jsx'), route('api', 'api.js')]
`,
      'app/root.jsx': `
import { Links, Meta, Outlet, Scripts } from 'react-router'
export default function App() {
  return <html><head><Meta /><Links /></head><body><Outlet /><Scripts /></body></html>
}
`,
      'app/counter.jsx': COUNTER,
      'app/home.jsx': `
import Counter from './counter'
export const loader = () => ({ hello: 'server' })
export default function Home({ loaderData }) {
  return <main><h1>{loaderData.hello}</h1><Counter /></main>
}
`,
      'app/api.js': `
export const loader = () => Response.json({ hello: 'router' })
export const action = async ({ request }) => Response.json({ got: await request.json() })
`,
      'server.mjs': `
import { createRequestHandler } from '@react-router/express'
import express from 'express'
const app = express()
app.use(express.static('build/client', { index: false }))
app.all('/{*path}', createRequestHandler({ build: await import('./build/server/index.js') }))
app.listen(3000)
`,
    },
    build: ['react-router', 'build'],
    app: 'server.mjs',
    env: { NODE_ENV: 'production' },
    requests: [
      { path: '/', expected: /<h1>server<\/h1>/ },
      { path: '/api', expected: /"hello":"router"/ },
      echo('/api'),
    ],
    page: /browser router/,
  },
  // A chat without an adapter: a message reaches the clients of the same worker only.
  'socket.io': {
    packages: ['socket.io@4', 'socket.io-client@4'],
    files: {
      'server.cjs': `
const fs = require('node:fs')
const http = require('node:http')
const { Server } = require('socket.io')
const server = http.createServer((req, res) => {
  res.setHeader('content-type', 'text/html').end(fs.readFileSync('chat.html'))
})
const io = new Server(server)
io.on('connection', (socket) => {
  socket.on('join', (joined) => joined(process.pid))
  socket.on('message', (text) => io.emit('message', text + ' by ' + socket.conn.transport.name))
})
server.listen(3000)
`,
      'chat.html': `
<p>nothing</p>
<script src="/socket.io/socket.io.js"></script>
<script>
const socket = io({ transports: ['websocket'] })
socket.on('message', (text) => {
  document.querySelector('p').textContent = 'browser received ' + text
})
socket.on('connect', () => socket.emit('message', 'hello'))
</script>
`,
      'client.cjs': `
const { io } = require('socket.io-client')
const url = 'http://127.0.0.1:' + process.argv[2]
const guests = []
function end(text) {
  console.log(text)
  for (const guest of guests) guest.close()
}
function join() {
  const guest = io(url, { transports: ['websocket'], reconnection: false, forceNew: true })
  guests.push(guest)
  guest.on('connect_error', (error) => end(String(error)))
  guest.on('connect', () => guest.emit('join', (pid) => {
    guest.pid = pid
    const other = guests.find((it) => it !== guest && it.pid === pid)
    if (other === undefined) return guests.length < 20 ? join() : end('no common worker')
    other.on('message', (text) => end(text === 'hi by websocket' ? 'ok' : text))
    guest.emit('message', 'hi')
  }))
}
join()
`,
    },
    app: 'server.cjs',
    requests: [{ path: '/', expected: /socket\.io\.js/ }],
    page: /browser received hello by websocket/,
    client: 'client.cjs',
  },
  opentelemetry: {
    packages: [
      ...['@opentelemetry/api', '@opentelemetry/sdk-node', '@opentelemetry/sdk-trace-base'],
      ...['@opentelemetry/auto-instrumentations-node', 'express@5'],
    ],
    files: {
      'instrument.cjs': `
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node')
const { SimpleSpanProcessor, InMemorySpanExporter } = require('@opentelemetry/sdk-trace-base')
const exporter = new InMemorySpanExporter()
globalThis.spans = () => exporter.getFinishedSpans().filter(({ kind }) => kind === 1)
new NodeSDK({
  spanProcessors: [new SimpleSpanProcessor(exporter)],
  instrumentations: [
    getNodeAutoInstrumentations({ '@opentelemetry/instrumentation-fs': { enabled: false } }),
  ],
}).start()
`,
      'app.cjs': `
const express = require('express')
const { trace } = require('@opentelemetry/api')
const app = express()
app.get('/users/:id', async (req, res) => {
  await null
  res.json({ active: trace.getActiveSpan()?.spanContext().traceId })
})
app.get('/spans', (req, res) => res.json(globalThis.spans().map((span) => [
  span.name, span.attributes['http.route'], span.attributes['http.response.status_code'],
  span.attributes['http.request.method'], span.parentSpanContext?.spanId, span.status.code,
])))
app.get('/fail', () => { throw new Error('intended') })
module.exports = app
`,
    },
    app: 'app.cjs',
    env: {
      NODE_OPTIONS: '--require ./instrument.cjs',
      OTEL_SEMCONV_STABILITY_OPT_IN: 'http',
      WEB_CONCURRENCY: '1',
    },
    requests: [
      {
        path: '/users/7',
        fields: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
        expected: /"active":"0af7651916cd43dd8448eb211c80319c"/,
      },
      { path: '/fail', expected: /intended/ },
      {
        path: '/spans',
        expected: SPANS,
      },
    ],
  },
}
