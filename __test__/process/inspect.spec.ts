// Debuggers at the workers: a port each, and with --inspect-brk nothing is loaded before one is
// there.

import { once } from 'node:events'
import net from 'node:net'
import test, { type ExecutionContext } from 'ava'
import WebSocket from 'ws'
import { needs, needsAddon } from '../requirements.ts'
import { appSource, get, isAlive, type Program, serveArgs, startProgram, until } from './program.ts'

/** A free port; the next one is free too. */
async function freePorts(): Promise<number> {
  for (;;) {
    const first = await listening(0)
    const second = first && (await listening(portOf(first) + 1))
    const port = first === undefined || second === undefined ? 0 : portOf(first)
    for (const server of [first, second]) server?.close()
    if (port !== 0) return port
  }
}

function listening(port: number): Promise<net.Server | undefined> {
  return new Promise((done) => {
    const server = net.createServer().listen(port, '127.0.0.1', () => done(server))
    server.on('error', () => done(undefined))
  })
}

function portOf(server: net.Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function urlOf(port: number): Promise<string> {
  const { body } = await get({ port, path: '/json/list' })
  return (JSON.parse(body) as { webSocketDebuggerUrl: string }[])[0]?.webSocketDebuggerUrl ?? ''
}

function started(t: Parameters<typeof startProgram>[0], ...more: string[]): Program {
  return startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', ...more),
    // As a terminal has it whose arbiter is debugged: the workers have ports of their own.
    env: { NODE_OPTIONS: '--no-warnings' },
  })
}

test.serial('--inspect: each worker has a port, where a debugger can stop it', async (t) => {
  const port = await freePorts()
  const program = await started(t, '-w', '2', `--inspect=${port}`).ready(2)
  const urls = [await urlOf(port), await urlOf(port + 1)]
  const [first = 0, second = 0] = await Promise.all(urls.map((url) => stopAt(t, url)))
  t.deepEqual([first, second].toSorted(), program.workers().toSorted())
  program.signal('SIGINT')
  await program.exited
  t.false(program.log.includes('address already in use'))
})

/** Stops a worker at a statement of its debugger; returns its process id. */
async function stopAt(t: ExecutionContext, url: string): Promise<number> {
  const socket = new WebSocket(url)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  const messages = new Map<string, { result: { value: number } }>()
  socket.on('message', (data) => {
    const { id, method, result } = JSON.parse(String(data))
    messages.set(method ?? String(id), result)
  })
  const send = (id: number, method: string, params = {}) => {
    socket.send(JSON.stringify({ id, method, params }))
    return until(() => messages.get(String(id)), method)
  }
  const { result } = await send(1, 'Runtime.evaluate', { expression: 'process.pid' })
  await send(2, 'Debugger.enable')
  socket.send(JSON.stringify({ id: 3, method: 'Runtime.evaluate', params: DEBUGGER }))
  await until(() => messages.has('Debugger.paused'), 'a stop')
  return result.value
}

const DEBUGGER = { expression: 'debugger' }

test.serial("the arbiter's debugger is not its workers', however its port is given", async (t) => {
  const [first, second] = [await freePorts(), await freePorts()]
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '1'),
    flags: ['--inspect-port', String(first), '--inspect'],
    env: { NODE_OPTIONS: `--no-warnings --inspect-port ${second}` },
  })
  await program.ready(1)
  t.is((await program.who()).version, '1')
  t.is(program.log.match(/Debugger listening/g)?.length, 1)
})

test.serial(
  '--inspect-brk: the worker waits for a debugger before it loads the application',
  async (t) => {
    const port = await freePorts()
    const program = started(t, '-w', '1', `--inspect-brk=127.0.0.1:${port}`)
    await program.line(/Debugger listening on/)
    const socket = new WebSocket(await urlOf(port))
    await new Promise((done) => socket.once('open', done))
    t.false(program.log.includes('Worker ready'))
    const paused = new Promise<void>((done) => {
      socket.on('message', (data) => {
        if (String(data).includes('"Debugger.paused"')) done()
      })
    })
    for (const [id, method] of ['Debugger.enable', 'Runtime.runIfWaitingForDebugger'].entries()) {
      socket.send(JSON.stringify({ id, method }))
    }
    await paused
    t.false(program.log.includes('Worker ready'))
    socket.send(JSON.stringify({ id: 9, method: 'Debugger.resume' }))
    await program.line(/Worker ready/)
    socket.terminate()
  },
)

test.serial('--inspect refuses what is no address', async (t) => {
  const program = started(t, '--inspect=127.0.0.1:70000')
  t.is(await program.exited, 1)
  await program.line(/--inspect must be PORT or HOST:PORT, .* got "127\.0\.0\.1:70000"/)
})

const endsWithParent = needs('Linux', process.platform === 'linux', needsAddon())

// Without the addon, or on other systems than Linux, no thread stops a process with a blocked loop.
endsWithParent(
  '--inspect-brk: a worker that waits for its debugger ends with the arbiter',
  async (t) => {
    const port = await freePorts()
    const program = started(t, '-w', '1', `--inspect-brk=127.0.0.1:${port}`)
    await program.line(/Debugger listening on/)
    const [worker = 0] = program.workers()
    t.true(isAlive(worker))
    program.signal('SIGKILL')
    await program.exited
    await until(() => !isAlive(worker), 'the end of the worker')
  },
)

endsWithParent('a worker that is blocked while it boots ends with the arbiter', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': "console.error('blocked now'); for (;;);" },
    args: serveArgs('auto', '-w', '1'),
  })
  await program.line(/blocked now/)
  const [worker = 0] = program.workers()
  t.true(isAlive(worker))
  program.signal('SIGKILL')
  await program.exited
  await until(() => !isAlive(worker), 'the end of the worker')
})
