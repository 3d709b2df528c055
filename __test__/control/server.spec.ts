// The server side of the control socket against clients that are wrong, slow or many.

import { execFile } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import { sendCommand } from '../../ts/control/client.ts'
import {
  type ControlCall,
  FIRST_REQUEST_MS,
  IDLE_MS,
  MAX_CONNECTIONS,
  MAX_REQUEST_LENGTH,
} from '../../ts/control/protocol.ts'
import { ControlServer } from '../../ts/control/server.ts'
import { listenAtPath } from '../../ts/control/socket-file.ts'
import { RecentLines } from '../../ts/log/recent-lines.ts'
import { type System, system } from '../../ts/process/system.ts'
import { until } from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'

const CROWD = fileURLToPath(new URL('crowd.cjs', import.meta.url))
const MAX_DELAY_MS = 20

interface Stage {
  readonly path: string
  readonly server: ControlServer
  readonly calls: ControlCall[]
  readonly recent: RecentLines
  /** Advances the clock of the server, and lets it look for idle connections. */
  advance(ms: number): void
}

/** With the clock `stopped`, the server's time passes only by calls of `advance`. */
async function startServer(
  t: ExecutionContext,
  clock: 'running' | 'stopped' = 'running',
): Promise<Stage> {
  const calls: ControlCall[] = []
  const recent = new RecentLines()
  const ticks: (() => void)[] = []
  let aheadMs = 0
  const slow: System = {
    ...system,
    now: () => (clock === 'running' ? system.now() : 0) + aheadMs,
    every(intervalMs, callback) {
      ticks.push(callback)
      return system.every(intervalMs, callback)
    },
  }
  const server = new ControlServer(slow, {
    onCall(call) {
      if (call.command === 'reload') calls.push(call)
      else call.answer({ ok: true, data: call.command })
    },
    findLog: () => ({ path: undefined, recent }),
  })
  const path = join(temporaryDirectory('control'), 'socket')
  const file = await listenAtPath(server.server, { path, mode: 0o600 })
  t.teardown(() => {
    file.remove()
    server.close()
  })
  const advance = (ms: number) => {
    aheadMs += ms
    for (const tick of ticks) tick()
  }
  return { path, server, calls, recent, advance }
}

interface Client {
  readonly socket: Socket
  readonly text: () => string
  readonly closed: Promise<string>
}

function open(t: ExecutionContext, path: string, sent = ''): Client {
  const socket = connect(path)
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {})
  if (sent !== '') socket.write(sent)
  t.teardown(() => socket.destroy())
  return {
    socket,
    text: () => text,
    closed: new Promise((done) => socket.on('close', () => done(text))),
  }
}

const HELP = '{"command":"help"}\n'

test('requests of one connection are answered in order, with their ids', async (t) => {
  const { path } = await startServer(t)
  const { socket, closed } = open(t, path)
  socket.write('{"command":"status","id":1}\n{"command":"scale"}\n{"command":"help","id":"b"}\n')
  socket.end()
  const answers = (await closed)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.like(answers, [
    { id: 1, ok: true, data: 'status' },
    { ok: false },
    { id: 'b', ok: true, data: 'help' },
  ])
})

test('a line that is no request is answered and ends its connection', async (t) => {
  const { path, server } = await startServer(t)
  const sent = ['garbage\n', '[]\n', '{"command":1}\n', '{"command":"help","args":[1]}\n']
  for (const text of [...sent, `${'x'.repeat(MAX_REQUEST_LENGTH + 1)}`, '\n']) {
    t.like(JSON.parse(await open(t, path, text).closed), { ok: false })
  }
  await until(() => server.connectionCount === 0, 'the connections to be gone')
})

test('a connection without a request, or silent after one, is closed', async (t) => {
  const { path, advance, server } = await startServer(t)
  const silent = open(t, path)
  const asked = open(t, path, HELP)
  await until(() => asked.text() !== '' && server.connectionCount === 2, 'both connections')
  advance(FIRST_REQUEST_MS + 1_000)
  t.is(await silent.closed, '')
  await until(() => server.connectionCount === 1, 'the silent connection to be gone')
  advance(IDLE_MS)
  await asked.closed
})

test('the client gives up on a server that does not answer', async (t) => {
  const { path } = await startServer(t)
  const request = { command: 'reload', args: [], limitMs: 50 }
  const error = 'the server has not answered within 0.05 s'
  t.deepEqual(await sendCommand(path, request), { ok: false, error, code: 'ETIMEDOUT' })
})

test('a command in flight has no idle limit and is answered at the end', async (t) => {
  const { path, advance, calls, server } = await startServer(t)
  const client = open(t, path, '{"command":"reload"}\n')
  await until(() => calls.length === 1, 'the command')
  advance(2 * IDLE_MS)
  server.close()
  t.regex(await client.closed, /the server has stopped/)
})

test('a new client displaces one that is silent, and never one with a command', async (t) => {
  // On a busy machine, the connections take long enough to count as silent by a running clock.
  const { path, advance, calls, server } = await startServer(t, 'stopped')
  const running = open(t, path, '{"command":"reload"}\n')
  await until(() => calls.length === 1, 'the command')
  const silent: Client[] = []
  while (silent.length < MAX_CONNECTIONS - 1) {
    silent.push(...Array.from({ length: 21 }, () => open(t, path)))
    await until(() => server.connectionCount === silent.length + 1, 'the connections')
  }
  t.regex(await open(t, path, HELP).closed, /"isBusy":true/)
  advance(1_000)
  const next = open(t, path, HELP)
  await until(() => next.text() !== '', 'the answer')
  t.is(server.connectionCount, MAX_CONNECTIONS)
  await Promise.any(silent.map(({ closed }) => closed))
  calls[0]?.answer({ ok: true, data: 'done' })
  await until(() => running.text() !== '', 'the answer')
})

test('a client that does not read its lines loses lines, and the server keeps few', async (t) => {
  const { path, recent } = await startServer(t)
  const { socket, text } = open(t, path, '{"command":"logs","args":["-f"]}\n')
  await until(() => text() !== '', 'the first lines')
  socket.pause()
  for (let count = 0; count < 50_000; count += 1) recent.push(`line ${count}`)
  socket.resume()
  await until(() => text().includes('lines were dropped'), 'the note about dropped lines')
  t.regex(text(), /\((?:48|49)\d{3} lines were dropped\)/)
})

test('a crowd of clients, most of them wrong or silent, does not delay the loop', async (t) => {
  const { path, server } = await startServer(t)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, server.connectionCount)
  }, 5)
  delay.enable()
  const { stdout } = await promisify(execFile)(process.execPath, [CROWD, path, '400', '100'])
  delay.disable()
  clearInterval(watch)
  t.is(JSON.parse(stdout).answered, 100)
  t.true(most <= MAX_CONNECTIONS)
  // Some values are larger, because other processes of the tests have the processor.
  t.true(delay.percentile(90) < MAX_DELAY_MS * 1e6, `${delay.percentile(90) / 1e6} ms`)
})
