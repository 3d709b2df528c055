// `npm run build && npx tsx scripts/idle.ts [count]`: what an idle connection costs a worker under the real command, by
// the growth of its resident memory; then each connection has to answer. Linux only; needs `count` descriptors.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  /** Connections that never say anything, instead of those that have been answered once. */
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
const AT_ONCE = 64
/** Longer than it takes until a connection is parked. */
const SETTLE_MS = 3_000
const WARM_UP = 20_000

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' }, node: { type: 'string', default: process.execPath } },
  allowPositionals: true,
})
const count = Number(positionals[0] ?? 16_000)
const rows = ROWS.filter((row) => values.only === undefined || nameOf(row) === values.only)
for (const row of rows) {
  const { bytes, answered } = await measure(row)
  const each = Math.round(bytes / count)
  console.log(
    `${nameOf(row).padEnd(16)} ${String(each).padStart(6)} bytes each, ${answered} answer`,
  )
}

function nameOf({ app, secure, silent }: Row): string {
  return [app, secure && 'tls', silent && 'silent'].filter(Boolean).join('-')
}

async function measure(row: Row): Promise<{ bytes: number; answered: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-idle-'))
  writeFileSync(join(directory, 'app.js'), APPS[row.app])
  const secure = row.secure ? await certificate(directory) : []
  const timeouts = ['--keep-alive', '600', '--header-timeout', '600', '--timeout', '0']
  const args = ['app.js', '--workers', '1', ...timeouts, ...secure]
  const program = await startCommand(directory, args, { node: values.node })
  try {
    const { port } = program
    const open = () => opened(port, row)
    const [worker = 0] = childrenOf(program.pid)
    const some = await each(AT_ONCE, open)
    // The heap and the pools are as large as they get with requests alone.
    await Promise.all(some.map((socket) => askOften(socket, WARM_UP / AT_ONCE)))
    await sleep(SETTLE_MS)
    const before = residentBytes(worker)
    const sockets = await each(count, async () => {
      const socket = await open()
      if (!row.silent) await ask(socket)
      return socket
    })
    await sleep(SETTLE_MS)
    const bytes = residentBytes(worker) - before
    let answered = 0
    for (const socket of sockets) if (await ask(socket)) answered += 1
    for (const socket of [...some, ...sockets]) socket.destroy()
    return { bytes, answered }
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

/** Results of `make`, which runs a few at a time. */
async function each<T>(total: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = []
  let begun = 0
  const loop = async () => {
    while (begun++ < total) made.push(await make())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, loop))
  return made
}

function opened(port: number, { secure }: Row): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port }
    const socket: Socket = secure
      ? connectSecure({ ...options, rejectUnauthorized: false }, () => resolve(socket))
      : connect(options, () => resolve(socket))
    socket.setNoDelay()
    socket.once('error', reject)
  })
}

async function askOften(socket: Socket, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await ask(socket)
}

/** Whether the answer came. */
function ask(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (is: boolean) => {
      socket.removeListener('data', onData)
      socket.removeListener('close', onClose)
      resolve(is)
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

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
