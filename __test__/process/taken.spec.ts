// What another has already: a port, a pidfile, the path of a socket.

import { writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { appSource, isAlive, serveArgs, startProgram, until } from './program.ts'

test.serial('a port in use: 1, after five tries', async (t) => {
  const holder = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => holder.close())
  await until(() => holder.listening, 'the other server')
  const { port } = holder.address() as net.AddressInfo
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: ['app.cjs', '-b', `127.0.0.1:${port}`],
  })
  t.is(await program.exited, 1)
  await program.line(/cannot listen at 127\.0\.0\.1:\d+: the address is in use/)
  t.is(program.log.match(/Connection in use: 127\.0\.0\.1:\d+/g)?.length, 5)
  t.is(program.log.match(/Retrying in 1 second\./g)?.length, 4)
})

test.serial('TERM while the port is waited for: 0', async (t) => {
  const holder = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => holder.close())
  await until(() => holder.listening, 'the other server')
  const { port } = holder.address() as net.AddressInfo
  const args = ['app.cjs', '-b', `127.0.0.1:${port}`]
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args })
  await program.line(/Retrying in 1 second/)
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
})

test.serial('a pidfile of a living process: 1; of a dead one it is replaced', async (t) => {
  const options = {
    files: { 'app.cjs': appSource('1'), pid: `${process.ppid}\n` },
    args: serveArgs('auto', '-p', 'pid'),
  }
  const refused = startProgram(t, options)
  t.is(await refused.exited, 1)
  await refused.line(new RegExp(`pidfile .*pid belongs to process ${process.ppid}`))
  const taken = startProgram(t, {
    ...options,
    files: { ...options.files, pid: `${refused.pid}\n` },
  })
  await taken.ready(1)
  t.is((await taken.who()).version, '1')
})

test.serial('a stale unix socket is replaced, one that answers is not', async (t) => {
  const options = {
    files: { 'app.cjs': appSource('1') },
    args: ['app.cjs', '-b', 'unix:app.sock', '--log-level', 'debug'],
  }
  const first = startProgram(t, options)
  await first.line(/Worker ready/)
  const path = join(first.directory, 'app.sock')
  const other = startProgram(t, { ...options, args: ['app.cjs', '-b', `unix:${path}`] })
  t.is(await other.exited, 1)
  await other.line(/the address is in use/)
  const workers = first.workers()
  first.signal('SIGKILL')
  await until(() => !workers.some(isAlive), 'the workers to end')
  const third = startProgram(t, { ...options, args: ['app.cjs', '-b', `unix:${path}`] })
  await third.line(/Listening at: unix:.*app\.sock/)
  writeFileSync(join(first.directory, 'plain'), '')
  const plain = join(first.directory, 'plain')
  const fourth = startProgram(t, { ...options, args: ['app.cjs', '-b', `unix:${plain}`] })
  t.is(await fourth.exited, 1)
  await fourth.line(/the file is not a socket/)
})
