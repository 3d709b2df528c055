// The setting asgi_disconnect_grace_period: a worker that stops waits for handlers whose clients
// have gone.

import { existsSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { ENGINES, type Program, serveArgs, startProgram } from './program.ts'

const WORK_MS = 500

const WORK = `
  const { writeFileSync } = require('node:fs')
  const work = async () => {
    await new Promise((done) => setTimeout(done, ${WORK_MS}))
    writeFileSync('finished', '')
  }`

const APPS = {
  node: `${WORK}
  module.exports = async (req, res) => {
    res.on('close', () => console.error('client gone'))
    console.error('request begun')
    if (req.url === '/endless') return
    await work()
    res.end()
  }`,
  fetch: `${WORK}
  exports.fetch = async (request) => {
    request.signal.addEventListener('abort', () => console.error('client gone'))
    console.error('request begun')
    if (request.url.endsWith('/endless')) return new Promise(() => {})
    await work()
    return new Response('done')
  }`,
}

for (const engine of ENGINES) {
  for (const [style, source] of Object.entries(APPS)) {
    test.serial(`${engine}: a ${style} handler finishes after its client has gone`, async (t) => {
      const program = await abandon(t, { engine, source, path: '/', grace: '5' })
      t.is(await program.exited, 0)
      t.true(existsSync(join(program.directory, 'finished')))
    })

    test.serial(`${engine}: a ${style} handler has asgi_disconnect_grace_period`, async (t) => {
      const program = await abandon(t, { engine, source, path: '/endless', grace: '0.2' })
      t.is(await program.exited, 0)
      t.notRegex(program.log, /did not exit in time/)
    })
  }

  test.serial(`${engine}: no handler is waited for with a grace of 0`, async (t) => {
    const program = await abandon(t, { engine, source: APPS.node, path: '/', grace: '0' })
    t.is(await program.exited, 0)
    t.false(existsSync(join(program.directory, 'finished')))
  })
}

/** Starts a server, disconnects in the middle of a request, and stops the server. */
async function abandon(
  t: ExecutionContext,
  options: { engine: string; source: string; path: string; grace: string },
): Promise<Program> {
  const { engine, source, path, grace } = options
  const args = serveArgs(engine, '--asgi-disconnect-grace-period', grace)
  const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
  const request = http.get({ port: program.port, path, agent: false })
  request.on('error', () => {})
  await program.line(/request begun/)
  request.destroy()
  await program.line(/client gone/)
  program.signal('SIGTERM')
  return program
}
