// The life of a framework's instance that an application exports.

import { fileURLToPath } from 'node:url'
import test from 'ava'

import { ENGINES, serveArgs, startProgram } from './program.ts'

const FASTIFY = JSON.stringify(fileURLToPath(import.meta.resolve('fastify')))

const APP = `const app = require(${FASTIFY})()
for (const name of ['onReady', 'preClose', 'onClose']) {
  app.addHook(name, async () => {
    await new Promise((done) => setTimeout(done, 10))
    console.error('hook ' + name)
  })
}
app.get('/', async () => 'ok')
module.exports = app
`

for (const engine of ENGINES) {
  test.serial(`${engine}: an exported instance is closed before the worker exits`, async (t) => {
    const options = { files: { 'app.cjs': APP }, args: serveArgs(engine, '-w', '1') }
    const program = startProgram(t, options)
    await program.ready(1)
    t.regex(program.log, /hook onReady/)
    program.signal('SIGTERM')
    await program.line(/hook preClose/)
    await program.line(/hook onClose/)
    t.is(await program.exited, 0)
    t.notRegex(program.log, /did not exit in time|shutdown of the application failed/)
  })
}
