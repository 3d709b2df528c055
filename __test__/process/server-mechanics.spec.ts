// The directory of the application, the queue of its sockets, and an address that is shared.

import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { appSource, ENGINES, serveArgs, startProgram, until } from './program.ts'

const BACKLOG = 3

for (const engine of ENGINES) {
  test.serial(`${engine}: engine selects the engine of the workers`, async (t) => {
    const options = { files: { 'app.cjs': appSource('1') }, args: serveArgs(engine, '-w', '1') }
    const program = await startProgram(t, options).ready(1)
    t.regex(program.log, new RegExp(`Using engine: ${engine}$`, 'm'))
    t.regex(program.log, new RegExp(`engine=${engine}\\b`))
  })

  test.serial(`${engine}: an engine that cannot start ends the start with its error`, async (t) => {
    const source = `const server = require('node:http').createServer()
      const fail = () => { throw new Error('a broken server') }
      Object.defineProperty(server, 'keepAliveTimeout', { get: fail, set: fail })
      module.exports = server`
    const program = startProgram(t, { files: { 'app.cjs': source }, args: serveArgs(engine) })
    t.is(await program.exited, 3)
    await program.line(/the engine cannot start:\n(.*\n)*?Error: a broken server/)
  })

  test.serial(
    `${engine}: chdir is the directory of the workers and of relative paths`,
    async (t) => {
      const program = startProgram(t, {
        args: serveArgs(engine, '-w', '1', '--chdir', 'site', '-p', 'pid'),
        prepare(directory) {
          mkdirSync(join(directory, 'site'))
          writeFileSync(
            join(directory, 'site/app.cjs'),
            'module.exports = (req, res) => res.end(process.cwd())',
          )
        },
      })
      await program.ready(1)
      const site = join(program.directory, 'site')
      t.is((await program.get()).body, realpathSync(site))
      t.is(readFileSync(join(site, 'pid'), 'utf8'), `${program.pid}\n`)
    },
  )

  test.serial(`${engine}: the kernel queues as many connections as backlog`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: ['app.cjs', '-b', 'unix:a.sock', '--engine', engine, '--log-level', 'debug'].concat(
        ...['-w', '1', '--backlog', String(BACKLOG)],
      ),
    })
    await program.line(/Worker ready/)
    // A stopped worker accepts nothing, once each of its threads has stopped.
    const [worker = 0] = program.workers()
    process.kill(worker, 'SIGSTOP')
    await until(() => isStopped(worker), 'the threads of the worker to stop')
    const path = join(program.directory, 'a.sock')
    const results: string[] = []
    // A unix socket refuses the first connection for which its queue has no room.
    for (let count = 0; count < BACKLOG + 3; count += 1) {
      const socket = net.connect(path)
      t.teardown(() => socket.destroy())
      const opened = new Promise<string>((resolve) => {
        socket.on('connect', () => resolve('queued'))
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
      })
      results.push(await opened)
    }
    // Linux queues one more than the backlog.
    const expected = results.map((_, at) => (at <= BACKLOG ? 'queued' : 'EAGAIN'))
    t.deepEqual(results, expected)
  })
}

test.serial('reuse_port lets two instances serve one port', async (t) => {
  const start = (port: number) =>
    startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: serveArgs('auto', '-w', '1', '--reuse-port').map((arg) =>
        arg === '127.0.0.1:0' ? `127.0.0.1:${port}` : arg,
      ),
    }).ready(1)
  const first = await start(0)
  const second = await start(first.port)
  const served = new Set<number>()
  const expected = [...first.workers(), ...second.workers()]
  await until(async () => {
    served.add((await first.who()).pid)
    return expected.every((pid) => served.has(pid))
  }, 'a response of each instance')
  t.is(served.size, 2)
})

function isStopped(pid: number): boolean {
  const threads = `/proc/${pid}/task`
  return readdirSync(threads).every((thread) =>
    /\) T /.test(readFileSync(`${threads}/${thread}/stat`, 'utf8')),
  )
}
