// The life of a framework's instance that an application exports.

import { fileURLToPath } from 'node:url'
import test from 'ava'

import { ENGINES, serveArgs, startProgram, until } from './program.ts'

const FASTIFY = fileURLToPath(import.meta.resolve('fastify'))
const ELYSIA = fileURLToPath(import.meta.resolve('elysia'))

/** An instance of each kind, which writes a line per hook, and the hooks in their order. */
const KINDS = {
  Fastify: {
    source: `const app = require(${JSON.stringify(FASTIFY)})()
for (const name of ['onReady', 'onListen', 'preClose', 'onClose']) {
  app.addHook(name, async () => {
    await new Promise((done) => setTimeout(done, 10))
    const { address } = app.server.address() ?? {}
    console.error('hook', name, name === 'onListen' ? address : '')
  })
}
app.get('/', async () => 'served')
module.exports = app
`,
    starts: ['onReady', 'onListen 127.0.0.1'],
    stops: ['preClose', 'onClose'],
  },
  Elysia: {
    source: `const { Elysia } = require(${JSON.stringify(ELYSIA)})
module.exports = new Elysia()
  .onStart(() => console.error('hook onStart'))
  .onStop(() => console.error('hook onStop'))
  .get('/', () => 'served')
`,
    starts: ['onStart'],
    stops: ['onStop'],
  },
  hapi: {
    source: `const { createServer } = require('node:http')
const listener = createServer((req, res) => res.end('served'))
const hook = async (name) => console.error('hook', name, listener.listening)
module.exports = {
  listener,
  initialize: () => hook('initialize'),
  async start() {
    await new Promise((done) => listener.listen(3000, 'localhost', done))
    await hook('start')
  },
  stop: () => hook('stop'),
}
`,
    starts: ['initialize false', 'start true'],
    stops: ['stop true'],
  },
  'Nest on Fastify': {
    source: `const { createServer } = require('node:http')
let isReady = false
const server = createServer((req, res) => res.end(isReady ? 'served' : 'not ready'))
const hook = async (name) => console.error('hook', name)
const instance = { ready: async () => { isReady = true } }
module.exports = {
  getHttpServer: () => server,
  getHttpAdapter: () => ({ getInstance: () => instance }),
  init: () => hook('init'),
  close: () => hook('close'),
}
`,
    starts: ['init'],
    stops: ['close'],
  },
}

for (const engine of ENGINES) {
  for (const [kind, { source, starts, stops }] of Object.entries(KINDS)) {
    test.serial(`${engine}: an exported instance of ${kind} has its whole life`, async (t) => {
      const options = { files: { 'app.cjs': source }, args: serveArgs(engine, '-w', '1') }
      const program = startProgram(t, options)
      await program.ready(1)
      // What a worker prints may come after what the arbiter logs.
      for (const hook of starts) await until(() => program.log.includes(`hook ${hook}`), hook)
      t.is((await program.get()).body, 'served')
      program.signal('SIGTERM')
      for (const hook of stops) await program.line(new RegExp(`hook ${hook}`))
      t.is(await program.exited, 0)
      t.notRegex(program.log, /did not exit in time|shutdown of the application failed/)
    })
  }

  test.serial(`${engine}: a hook that fails at the start fails the start`, async (t) => {
    const source = `const app = require(${JSON.stringify(FASTIFY)})()
app.listen = () => Promise.reject(new Error('no database'))
module.exports = app
`
    const program = startProgram(t, {
      files: { 'app.cjs': source },
      args: serveArgs(engine, '-w', '1'),
    })
    await program.line(/no database/)
    t.not(await program.exited, 0)
  })
}
