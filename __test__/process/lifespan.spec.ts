// The setting asgi_lifespan: whether the application's startup and shutdown are called.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { findLifespan } from '../../ts/worker/lifespan.ts'
import { ENGINES, serveArgs, startProgram } from './program.ts'

const APP = `const { writeFileSync } = require('node:fs')
let isStarted = false
module.exports = (req, res) => res.end(String(isStarted))
module.exports.startup = () => { isStarted = true }
module.exports.shutdown = () => writeFileSync('shutdown', '')`

for (const engine of ENGINES) {
  for (const mode of ['on', 'off']) {
    test.serial(`${engine}: asgi_lifespan "${mode}" decides about both calls`, async (t) => {
      const program = startProgram(t, {
        files: { 'app.cjs': APP },
        args: serveArgs(engine, '-w', '1', '--asgi-lifespan', mode),
      })
      await program.ready(1)
      t.is((await program.get()).body, String(mode === 'on'))
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      t.is(existsSync(join(program.directory, 'shutdown')), mode === 'on')
    })
  }
}

test.serial('asgi_lifespan "on" refuses an application without either function', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': 'module.exports = (req, res) => res.end()' },
    args: serveArgs('auto', '--asgi-lifespan', 'on'),
  })
  t.is(await program.exited, 4)
  await program.line(/asgi_lifespan is "on", but the application exports neither startup nor/)
  t.throws(() => findLifespan({}, 'on'), { code: 'ERR_APP_LIFESPAN' })
})

test.serial('a startup that fails ends the start with its error', async (t) => {
  const source = `module.exports = (req, res) => res.end()
    module.exports.startup = async () => { throw new Error('no database') }`
  const program = startProgram(t, { files: { 'app.cjs': source }, args: serveArgs('auto') })
  t.is(await program.exited, 3)
  await program.line(/the startup of the application failed:\n(.*\n)*?Error: no database/)
  const startup = () => Promise.reject(new Error('no database'))
  await t.throwsAsync(findLifespan({ startup }, 'auto').startup(), { code: 'ERR_APP_STARTUP' })
})
