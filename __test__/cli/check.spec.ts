// Errors that --check-config finds without serving.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import test from 'ava'

import { startProgram } from '../process/program.ts'

const APPLICATION = 'export default (req, res) => res.end()\n'

for (const [what, config, text] of [
  ['an arbiter hook that is missing', { on_starting: './nope.mjs' }, /hook on_starting must be/],
  ['a worker hook that is missing', { post_fork: './nope.mjs:a' }, /hook post_fork must be/],
  ['https without a certificate', { bind: 'https://127.0.0.1:0' }, /needs a certificate/],
  ['an access log in no directory', { accesslog: 'nope/a.log' }, /accesslog must be a file/],
  ['an error log in no directory', { errorlog: 'nope/e.log' }, /errorlog must be a file/],
  ['an error log that is a directory', { errorlog: '.' }, /\(it is a directory\)/],
  ['a pidfile in no directory', { pidfile: 'nope/pid' }, /pidfile nope\/pid cannot be written/],
  ['a unix socket in no directory', { bind: 'unix:nope/a.sock' }, /the directory does not exist/],
  ['a unix socket in the place of a file', { bind: 'unix:app.mjs' }, /the file is not a socket/],
  ['a host without an address', { bind: 'nope.invalid:80' }, /cannot listen at nope\.invalid:80/],
  ['the same address twice', { bind: [':8001', '0.0.0.0:8001'] }, /it is named twice/],
  ['a worker_class that is missing', { worker_class: './nope.mjs' }, /worker_class must be/],
] as const) {
  test.serial(`--check-config exits 1 for ${what}`, async (t) => {
    const files = { 'app.mjs': APPLICATION, 'monoceros.config.json': JSON.stringify(config) }
    const program = startProgram(t, { files, args: ['--check-config', './app.mjs'] })
    t.is(await program.exited, 1)
    await program.line(text)
    t.notRegex(program.log, /node:internal/)
  })
}

test.serial('--check-config reports a syntax error of an ES module with its file', async (t) => {
  const files = { 'app.mjs': "export { part } from './part.mjs'", 'part.mjs': '\nexport const = 2' }
  const program = startProgram(t, { files, args: ['--check-config', './app.mjs'] })
  t.is(await program.exited, 3)
  await program.line(/failed while loading:\n.*part\.mjs:2\nexport const = 2\n/)
})

test.serial(
  '--check-config opens no address, creates no file and calls no worker hook',
  async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const files = {
      'app.mjs': APPLICATION,
      'hooks.mjs': 'export default () => { throw new Error("called") }',
      'monoceros.config.json': JSON.stringify({
        bind: [`127.0.0.1:${port}`, '127.0.0.1:0', '127.0.0.1:0', 'unix:a.sock'],
        post_fork: './hooks.mjs',
        errorlog: 'error.log',
        accesslog: 'access.log',
        pidfile: 'pid',
      }),
    }
    const program = startProgram(t, { files, args: ['--check-config', './app.mjs'] })
    t.is(await program.exited, 0, program.log)
    t.deepEqual(readdirSync(program.directory).sort(), Object.keys(files).sort())
  },
)

test.serial(
  '--check-config exits 1 for the native engine if its binary does not load',
  async (t) => {
    const program = startProgram(t, {
      files: { 'app.mjs': APPLICATION },
      args: ['--check-config', '--engine', 'native', './app.mjs'],
      env: { NAPI_RS_NATIVE_LIBRARY_PATH: '/nope.node' },
    })
    t.is(await program.exited, 1)
    await program.line(/engine "native" is not available here/)
  },
)
