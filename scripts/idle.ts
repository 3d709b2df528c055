// Measures what an idle connection costs a worker of the real command, by the growth of its
// resident memory. Afterwards each connection must still respond. Linux only; needs `count`
// descriptors. Usage: `npm run build && npx tsx scripts/idle.ts [count]`, with `--only NAME` for
// one kind of connection and `--node PATH` for another Node.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectSecure } from 'node:tls'
import { parseArgs } from 'node:util'
import { childrenOf, residentBytes } from '../bench/processors.ts'
import { ROOT, run, startCommand } from './command.ts'

const APPS = {
  'req-res': `module.exports = (req, res) => res.end('ok')`,
  express: `const app = require(${JSON.stringify(join(ROOT, 'node_modules/express'))})()
    app.get('/', (req, res) => res.send('ok')); module.exports = app`,
  fetch: `module.exports = { fetch: () => new Response('ok') }`,
} as const

type AppName = keyof typeof APPS

interface Row {
  readonly app: AppName
  readonly secure?: true
  /** Whether connections send nothing, instead of one request each. */
  readonly silent?: true
}

const ROWS: readonly Row[] = [
  { app: 'req-res' },
  { app: 'req-res', silent: true },
  { app: 'express' },
  { app: 'fetch' },
  { app: 'req-res', secure: true },
]

const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const CONCURRENT_CLIENTS = 64
/** Pause until the worker treats connections as idle, in milliseconds. */
const SETTLE_MS = 3_000
const WARM_UP_REQUESTS = 20_000

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' }, node: { type: 'string', default: process.execPath } },
  allowPositionals: true,
})
const count = Number(positionals[0] ?? 16_000)
const rows = ROWS.filter((row) => values.only === undefined || nameOf(row) === values.only)
for (const row of rows) {
  const { bytes, responding } = await measure(row)
  const bytesEach = Math.round(bytes / count)
  console.log(
    `${nameOf(row).padEnd(16)} ${String(bytesEach).padStart(6)} bytes each, ${responding} respond`,
  )
}

function nameOf({ app, secure, silent }: Row): string {
  return [app, secure && 'tls', silent && 'silent'].filter(Boolean).join('-')
}

async function measure(row: Row): Promise<{ bytes: number; responding: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-idle-'))
  writeFileSync(join(directory, 'app.js'), APPS[row.app])
  const secure = row.secure ? await certificate(directory) : []
  const timeouts = ['--keep-alive', '600', '--header-timeout', '600', '--timeout', '0']
  const args = ['app.js', '--workers', '1', ...timeouts, ...secure]
  const program = await startCommand(directory, args, { node: values.node })
  try {
    const { port } = program
    const open = () => connectSocket(port, row)
    const [worker = 0] = childrenOf(program.pid)
    const warmUpSockets = await runConcurrently(CONCURRENT_CLIENTS, open)
    // The warm-up grows the heap and the pools to the size that requests alone need.
    await Promise.all(
      warmUpSockets.map((socket) => sendRequests(socket, WARM_UP_REQUESTS / CONCURRENT_CLIENTS)),
    )
    await sleep(SETTLE_MS)
    const before = residentBytes(worker)
    const sockets = await runConcurrently(count, async () => {
      const socket = await open()
      if (!row.silent) await sendRequest(socket)
      return socket
    })
    await sleep(SETTLE_MS)
    const bytes = residentBytes(worker) - before
    let responding = 0
    for (const socket of sockets) if (await sendRequest(socket)) responding += 1
    for (const socket of [...warmUpSockets, ...sockets]) socket.destroy()
    return { bytes, responding }
  } finally {
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

async function certificate(directory: string): Promise<string[]> {
  const files = ['key.pem', 'cert.pem'].map((name) => join(directory, name))
  const [key = '', cert = ''] = files
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', '/CN=localhost', '-days', '2']
  await run('openssl', ['req', '-x509', ...options, ...subject, '-keyout', key, '-out', cert], {
    show: false,
  })
  return ['--certfile', cert, '--keyfile', key]
}

/** Calls `make` `total` times, 64 at the same time, and returns the results. */
async function runConcurrently<T>(total: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = []
  let begun = 0
  const loop = async () => {
    while (begun++ < total) made.push(await make())
  }
  await Promise.all(Array.from({ length: CONCURRENT_CLIENTS }, loop))
  return made
}

function connectSocket(port: number, { secure }: Row): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port }
    const socket: Socket = secure
      ? connectSecure({ ...options, rejectUnauthorized: false }, () => resolve(socket))
      : connect(options, () => resolve(socket))
    socket.setNoDelay()
    socket.once('error', reject)
  })
}

async function sendRequests(socket: Socket, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await sendRequest(socket)
}

/** Sends a request; the result is whether the response is complete and has status 200. */
function sendRequest(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isServed: boolean) => {
      socket.removeListener('data', onData)
      socket.removeListener('close', onClose)
      resolve(isServed)
    }
    let text = ''
    const onData = (chunk: Buffer) => {
      text += chunk
      if (text.endsWith('ok')) end(text.startsWith('HTTP/1.1 200'))
    }
    const onClose = () => end(false)
    socket.on('data', onData)
    socket.once('close', onClose)
    if (socket.destroyed) end(false)
    else socket.write(REQUEST)
  })
}
