import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { get, masked, RawClient, request } from '../http/client.ts'
import { ENGINES, serveArgs, startProgram } from '../process/program.ts'

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url))

const JSON_BODY = '{"a":[1,2]}'
const post = (path: string): string =>
  request(
    'POST',
    path,
    ['Content-Type: application/json', `Content-Length: ${JSON_BODY.length}`, 'Connection: close'],
    JSON_BODY,
  )

interface Example {
  readonly app: string
  readonly asked: readonly string[]
  /** What one of the answers contains. */
  readonly expected: RegExp
}

const examples: Readonly<Record<string, Example>> = {
  'hello-node': {
    app: 'app.js',
    asked: [get('/a?b')],
    expected: /Hello from Monoceros, GET \/a\?b/,
  },
  'hello-fetch': {
    app: 'app.js',
    asked: [get('/a?b')],
    expected: /Hello from Monoceros, GET \/a\n/,
  },
  express: {
    app: 'app.js',
    asked: [get('/'), get('/missing'), post('/echo')],
    expected: /Hello from Express/,
  },
  koa: { app: 'app.js', asked: [get('/a')], expected: /"path":"\/a"/ },
  fastify: {
    app: 'app.js',
    asked: [get('/'), get('/missing'), post('/echo')],
    expected: /Fastify/,
  },
  hono: { app: 'app.js', asked: [get('/'), get('/missing'), post('/echo')], expected: /from Hono/ },
  h3: { app: 'app.js', asked: [get('/'), get('/missing'), post('/echo')], expected: /from h3/ },
  elysia: {
    app: 'app.js',
    asked: [get('/'), get('/missing'), post('/echo')],
    expected: /from Elysia/,
  },
  'itty-router': {
    app: 'app.js',
    asked: [get('/'), get('/missing'), post('/echo')],
    expected: /from itty-router/,
  },
  esm: { app: 'app.mjs:app', asked: [get('/')], expected: /has \d+ lines/ },
  typescript: { app: 'app.ts', asked: [get('/a')], expected: /"hello":"TypeScript"/ },
  streaming: { app: 'app.js', asked: [get('/events'), post('/')], expected: /data: 3/ },
  'listen-script': { app: 'server.cjs', asked: [get('/')], expected: /script that listens/ },
}

/** Units for systemd: nothing that could be started without it. */
const UNITS = 'systemd'

test('every example is started', (t) => {
  const folders = readdirSync(EXAMPLES, { withFileTypes: true }).filter((it) => it.isDirectory())
  const names = folders.map(({ name }) => name).filter((name) => name !== UNITS)
  t.deepEqual(names.sort(), Object.keys(examples).sort())
})

for (const [name, { app, asked, expected }] of Object.entries(examples)) {
  test.serial(`${name} answers the same on every engine`, async (t) => {
    const path = join(EXAMPLES, name, app)
    t.true(existsSync(path.replace(/:app$/, '')))
    const answers: string[][] = []
    for (const engine of ENGINES) {
      const args = serveArgs(engine, '-w', '1').with(0, path)
      const program = await startProgram(t, { args }).ready(1)
      const got: string[] = []
      for (const text of asked) {
        got.push(masked(await new RawClient(program.port).send(text).untilClosed()))
      }
      t.regex(got.join('\n'), /^HTTP\/1.1 200 OK\r\n/)
      t.regex(got.join('\n'), expected)
      answers.push(got)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
    }
    for (const other of answers) t.deepEqual(other, answers[0])
  })
}
