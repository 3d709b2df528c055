// Blocks the event loop of the only worker for ten seconds, with a loop in JavaScript.
// Meanwhile slow clients must time out, `request_timeout` must send responses, and new connections
// must be accepted. Afterwards the worker must respond again.
// Usage: `npm run build && npx tsx scripts/blocked.ts`.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCommand } from './command.ts'

const BLOCK_MS = 10_000
/** Number of clients of each kind. */
const CLIENTS_PER_KIND = 20
const APP = `
module.exports = (req, res) => {
  if (req.url === '/block') { const end = Date.now() + ${BLOCK_MS}; while (Date.now() < end); }
  res.end('ok')
}`
const TIMEOUT_ARGS = ['--header-timeout', '3', '--body-timeout', '3', '--request-timeout', '4']
const COMPLETE_REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

interface ClientKind {
  readonly name: string
  readonly count: number
  /** The bytes that the client sends once it is connected. */
  readonly request: string
  /** Expected status of the response. */
  readonly status: number
  /** When the response is due, in milliseconds after the connection was opened. */
  readonly withinMs: number
}

const KINDS: readonly ClientKind[] = [
  {
    name: 'partial heads',
    count: CLIENTS_PER_KIND,
    request: 'GET / HTTP/1.1\r\n',
    status: 408,
    withinMs: 3_000,
  },
  {
    name: 'partial bodies',
    count: CLIENTS_PER_KIND,
    request: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf',
    status: 408,
    withinMs: 3_000,
  },
  {
    name: 'complete requests',
    count: CLIENTS_PER_KIND,
    request: COMPLETE_REQUEST,
    status: 503,
    withinMs: 4_000,
  },
]
/** Tolerance for a late response, in milliseconds. */
const TOLERANCE_MS = 1_000

const directory = mkdtempSync(join(tmpdir(), 'monoceros-blocked-'))
writeFileSync(join(directory, 'app.js'), APP)
const args = ['app.js', '--workers', '1', '--timeout', '60', ...TIMEOUT_ARGS]
const program = await startCommand(directory, args)
const { port } = program
try {
  const blocker = send('GET /block HTTP/1.1\r\nHost: x\r\n\r\n')
  await sleep(300)
  const [rows, blocked] = await Promise.all([Promise.all(KINDS.map(measure)), blocker])
  rows.push(row('blocking request', [blocked], { status: 504, withinMs: 4_000 }))
  // The loop still runs: a new client is accepted, and receives 503 in time or a late response.
  const late = await Promise.all(
    Array.from({ length: CLIENTS_PER_KIND }, () => send(COMPLETE_REQUEST)),
  )
  const served = late.filter(({ status }) => status === 503 || status === 200).length
  rows.push(`${'later clients'.padEnd(22)}${served} of ${CLIENTS_PER_KIND} received 200 or 503`)
  await sleep(BLOCK_MS)
  rows.push(row('afterwards', [await send(COMPLETE_REQUEST)], { status: 200, withinMs: 0 }))
  console.log(rows.join('\n'))
} finally {
  await program.stop()
  rmSync(directory, { recursive: true })
}

interface Reply {
  /** Status of the response; 0 when the connection closed without one. */
  readonly status: number
  /** Time from the connect to the response or the close, in milliseconds. */
  readonly ms: number
}

async function measure(kind: ClientKind): Promise<string> {
  const replies = await Promise.all(Array.from({ length: kind.count }, () => send(kind.request)))
  return row(kind.name, replies, kind)
}

/** A line of the result: how many replies had the expected status in time. */
function row(
  name: string,
  replies: Reply[],
  { status, withinMs }: Pick<ClientKind, 'status' | 'withinMs'>,
): string {
  const expected = replies.filter((reply) => reply.status === status)
  const last = Math.max(...replies.map(({ ms }) => ms))
  const isMet = expected.length === replies.length && last <= withinMs + TOLERANCE_MS
  const figure = `${expected.length} of ${replies.length} got ${status}, the last after ${last} ms`
  return `${name.padEnd(22)}${figure.padEnd(50)}${isMet ? 'holds' : 'DOES NOT HOLD'}`
}

/** Sends bytes on a new connection and waits for the response or the close. */
function send(text: string): Promise<Reply> {
  const start = Date.now()
  return new Promise((resolve) => {
    const end = (status: number) => resolve({ status, ms: Date.now() - start })
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk: Buffer) => {
      end(Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString())?.[1] ?? 0))
      socket.destroy()
    })
    socket.on('error', () => end(0))
    socket.on('close', () => end(0))
  })
}
