// `npx tsx bench/soak.ts [--minutes N] [--workers N] [--connections N]`: mixed load on handlers
// that block the event loop at random, after a build. It checks each response, prints a line per
// minute, and fails if a request is lost or waits longer than 20 s. At the end it prints how often
// the I/O threads have taken the loop over.

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ROOT } from '../scripts/command.ts'

const PORT = 19_490
const MAX_WAIT_MS = 20_000
const LARGE_BYTES = 16 * 65_536
const MAX_BODY_BYTES = 262_144

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    workers: { type: 'string', default: '2' },
    connections: { type: 'string', default: '24' },
  },
})

/** What a client asks for, how often among a hundred requests, and the response that is right. */
const KINDS: readonly (readonly [
  kind: string,
  share: number,
  run: (agent: Agent) => Promise<void>,
])[] = [
  ['quick', 50, (agent) => expectText(agent, '/quick', 'quick')],
  ['block', 6, (agent) => expectText(agent, '/block', 'blocked')],
  ['timer', 4, (agent) => expectText(agent, '/timer', 'timer')],
  ['promise', 4, (agent) => expectText(agent, '/promise', 'promise')],
  ['echo', 20, expectEcho],
  ['large', 8, expectLarge],
  ['abort', 4, abort],
  ['new connection', 4, newConnection],
]

const counts = new Map(KINDS.map(([kind]) => [kind, 0]))
const failures: string[] = []
const end = Date.now() + Number(values.minutes) * 60_000

const server = spawn(
  process.execPath,
  [
    ...[join(ROOT, 'dist/cli/main.js'), join(ROOT, 'bench/apps/soak.js')],
    ...['-b', `127.0.0.1:${PORT}`, '-w', values.workers, '--log-level', 'debug'],
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)
let log = ''
server.stderr.setEncoding('utf8').on('data', (text: string) => {
  log = (log + text).slice(-1_000_000)
})
const exited = once(server, 'exit')
while (!/Ready: /.test(log)) await wait(50)

const reports = setInterval(report, 60_000)
await Promise.all(Array.from({ length: Number(values.connections) }, client))
clearInterval(reports)
report()
server.kill('SIGTERM')
await exited
const takeovers = [...log.matchAll(/took the loop over (\d+) times/g)].map(([, count]) => count)
console.log(`take-overs by worker: ${takeovers.join(', ')}`)
const errors = log.split('\n').filter((line) => /\[(error|critical|warning)\]/i.test(line))
for (const text of [...failures, ...errors].slice(0, 20)) console.log(text)
process.exitCode = failures.length + errors.length === 0 ? 0 : 1

async function client(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  while (Date.now() < end) {
    const [kind, run] = choose()
    try {
      await run(agent)
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    } catch (error) {
      failures.push(`${new Date().toISOString()} ${kind}: ${error}`)
    }
  }
  agent.destroy()
}

function choose(): [kind: string, run: (agent: Agent) => Promise<void>] {
  let left = Math.random() * 100
  for (const [kind, share, run] of KINDS) {
    left -= share
    if (left < 0) return [kind, run]
  }
  return ['quick', (agent) => expectText(agent, '/quick', 'quick')]
}

async function expectText(agent: Agent, path: string, text: string): Promise<void> {
  const body = (await exchange(agent, path)).toString()
  if (body !== text) throw new Error(`${JSON.stringify(body)} instead of ${text}`)
}

async function expectEcho(agent: Agent): Promise<void> {
  const body = randomBytes(Math.floor(Math.random() * MAX_BODY_BYTES))
  const digest = (await exchange(agent, '/echo', body)).toString()
  if (digest !== createHash('sha1').update(body).digest('hex')) throw new Error('another body')
}

async function expectLarge(agent: Agent): Promise<void> {
  const { length } = await exchange(agent, '/large')
  if (length !== LARGE_BYTES) throw new Error(`${length} bytes instead of ${LARGE_BYTES}`)
}

async function newConnection(): Promise<void> {
  const agent = new Agent()
  await expectText(agent, '/quick', 'quick')
  agent.destroy()
}

/** Closes the connection in the middle of a response. */
function abort(): Promise<void> {
  return new Promise((resolve) => {
    const ours = request({ port: PORT, host: '127.0.0.1', path: '/large', agent: false })
    ours.on('error', () => resolve()).on('close', () => resolve())
    ours.on('response', (response) => response.once('data', () => ours.destroy()))
    ours.end()
  })
}

function exchange(agent: Agent, path: string, body?: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const ours = request({ port: PORT, host: '127.0.0.1', path, agent, method }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece) => pieces.push(piece)).on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(pieces))
        else reject(new Error(`status ${response.statusCode}`))
      })
    })
    ours.setTimeout(MAX_WAIT_MS, () => ours.destroy(new Error(`no answer in ${MAX_WAIT_MS} ms`)))
    ours.on('error', reject)
    ours.end(body)
  })
}

function report(): void {
  const parts = [...counts].map(([kind, count]) => `${kind} ${count}`)
  console.log(`${new Date().toISOString()} ${parts.join(', ')}; failures ${failures.length}`)
}
