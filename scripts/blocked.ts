// `npm run build && npx tsx scripts/blocked.ts`: a loop in JavaScript blocks a worker for ten seconds. Meanwhile slow
// clients time out, `request_timeout` answers, and connections are accepted; afterwards the worker answers again.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCommand } from './command.ts'

const BLOCK_MS = 10_000
const EACH = 20
const APP = `
module.exports = (req, res) => {
  if (req.url === '/block') { const end = Date.now() + ${BLOCK_MS}; while (Date.now() < end); }
  res.end('ok')
}`
const LIMITS = ['--header-timeout', '3', '--body-timeout', '3', '--request-timeout', '4']
const WHOLE = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

interface Kind {
  readonly name: string
  readonly count: number
  readonly first: string
  /** What must come, and not much later than this. */
  readonly status: number
  readonly withinMs: number
}

const KINDS: readonly Kind[] = [
  { name: 'half heads', count: EACH, first: 'GET / HTTP/1.1\r\n', status: 408, withinMs: 3_000 },
  {
    name: 'half bodies',
    count: EACH,
    first: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf',
    status: 408,
    withinMs: 3_000,
  },
  { name: 'whole requests', count: EACH, first: WHOLE, status: 503, withinMs: 4_000 },
]
const SLACK_MS = 1_000

const directory = mkdtempSync(join(tmpdir(), 'monoceros-blocked-'))
writeFileSync(join(directory, 'app.js'), APP)
const args = ['app.js', '--workers', '1', '--timeout', '60', ...LIMITS]
const program = await startCommand(directory, args)
const { port } = program
try {
  const blocker = ask('GET /block HTTP/1.1\r\nHost: x\r\n\r\n')
  await sleep(300)
  const [rows, blocked] = await Promise.all([Promise.all(KINDS.map(measure)), blocker])
  rows.push(row('the blocking one', [blocked], { status: 504, withinMs: 4_000 }))
  // Its ten seconds are not over: whoever comes now is accepted, and refused in his time or answered.
  const late = await Promise.all(Array.from({ length: EACH }, () => ask(WHOLE)))
  const served = late.filter(({ status }) => status === 503 || status === 200).length
  rows.push(`${'those who come later'.padEnd(22)}${served} of ${EACH} served or told 503`)
  await sleep(BLOCK_MS)
  rows.push(row('afterwards', [await ask(WHOLE)], { status: 200, withinMs: 0 }))
  console.log(rows.join('\n'))
} finally {
  await program.stop()
  rmSync(directory, { recursive: true })
}

interface Answer {
  readonly status: number
  readonly ms: number
}

async function measure(kind: Kind): Promise<string> {
  const answers = await Promise.all(Array.from({ length: kind.count }, () => ask(kind.first)))
  return row(kind.name, answers, kind)
}

function row(
  name: string,
  answers: Answer[],
  { status, withinMs }: Pick<Kind, 'status' | 'withinMs'>,
): string {
  const right = answers.filter((one) => one.status === status)
  const last = Math.max(...answers.map(({ ms }) => ms))
  const held = right.length === answers.length && last <= withinMs + SLACK_MS
  const figure = `${right.length} of ${answers.length} got ${status}, the last after ${last} ms`
  return `${name.padEnd(22)}${figure.padEnd(50)}${held ? 'holds' : 'DOES NOT HOLD'}`
}

/** The status of what comes, 0 for nothing. */
function ask(text: string): Promise<Answer> {
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

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
