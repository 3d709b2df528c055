// `npx tsx bench/overload.ts [--factors LIST] [--seconds N] [--only node:http|Monoceros]`: one
// worker gets more requests than it can handle, after a build. Its handlers compute for 5 ms by the
// clock. The clients send at a rate of their own, and give up after 1 s. The table has what was
// answered in time, with node:http beside it. Then the worker is loaded in ways that must reject
// nothing. The first processor is left to the server, the load runs on the second.

import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ROOT } from '../scripts/command.ts'
import { OpenLoop, type Outcomes } from './open-loop.ts'
import { end, type Started, until } from './started.ts'

const PORT = 19_500
const READY = { limitMs: 15_000 }
const PATIENCE_MS = 1000
/** Patience of the clients that must all be answered. */
const LONG_PATIENCE_MS = 20_000
const CROWD = 1000

const { values } = parseArgs({
  options: {
    factors: { type: 'string', default: '1,2,3,10' },
    seconds: { type: 'string', default: '8' },
    only: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const app = join(ROOT, 'bench/apps/overload.js')
const COMMANDS = {
  'node:http': [app],
  Monoceros: [join(ROOT, 'dist/cli/main.js'), app, '-b', `127.0.0.1:${PORT}`, '-w', '1'],
}

const HEADINGS = [
  ...['server', 'load', 'capacity/s', 'sent/s', 'in time/s', 'of the load', 'of the capacity'],
  ...['503/s', 'given up/s', 'failed/s', 'median', '99 %', 'generator busy'],
]
console.log(`Node ${process.version}\n`)
printRow(HEADINGS)
printRow(HEADINGS.map(() => '---'))
for (const [name, command] of Object.entries(COMMANDS)) {
  if (values.only !== undefined && values.only !== name) continue
  const server = start(command)
  try {
    await until(isAnswering, server, READY)
    for (const factor of values.factors.split(',').map(Number)) await measure(name, factor)
  } finally {
    await end(server)
  }
}
if (values.only !== 'node:http') await checkFalseAlarms()

async function measure(name: string, factor: number): Promise<void> {
  const before = await measureCapacity()
  const load = new OpenLoop({ port: PORT, patienceMs: PATIENCE_MS })
  const outcomes = await load.run({ perSecond: before * factor, seconds })
  await wait(PATIENCE_MS)
  const capacity = (before + (await measureCapacity())) / 2
  printRow([name, `${factor}x`, capacity.toFixed(0), ...figuresOf(outcomes, capacity)])
}

function figuresOf(outcomes: Outcomes, capacity: number): string[] {
  const { sent, answered, rejected, givenUp, failed, times, utilization } = outcomes
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => `${(sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0)} ms`
  const rate = (count: number) => (count / seconds).toFixed(0)
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`
  return [
    ...[rate(sent), rate(answered), percent(answered / sent)],
    ...[percent(answered / seconds / capacity), rate(rejected), rate(givenUp), rate(failed)],
    ...[at(0.5), at(0.99), percent(utilization)],
  ]
}

/** Requests per second while the next one follows each response on four connections. */
function measureCapacity(): Promise<number> {
  const load = new OpenLoop({ port: PORT, patienceMs: LONG_PATIENCE_MS })
  return load.runClosed({ connections: 4, milliseconds: 1500 })
}

/** What makes requests wait without overload. */
async function checkFalseAlarms(): Promise<void> {
  console.log('\n| false alarm | answered | 503 | failed | longest wait |')
  console.log('| --- | --- | --- | --- | --- |')
  const server = start(COMMANDS.Monoceros)
  try {
    await until(isAnswering, server, READY)
    const capacity = await measureCapacity()
    const steady = { perSecond: capacity * 0.8, seconds: 5 }
    const collected = wait(1500).then(() => fetch(`http://127.0.0.1:${PORT}/collect`))
    report('garbage collection of 500 ms at 0.8x', await open().run(steady))
    await collected
    report(`burst of ${CROWD}`, await open().burst(CROWD))
    const downloaded = fetch(`http://127.0.0.1:${PORT}/download`).then(countBytes)
    const half = { perSecond: capacity * 0.5, seconds: 5 }
    report('download of 1 GiB at 0.5x', await open().run(half))
    if ((await downloaded) !== 2 ** 30) throw new Error('the download is not complete')
  } finally {
    await end(server)
  }
  const slow = start(COMMANDS.Monoceros, { START_MS: '2000' })
  await until(isListening, slow, READY)
  report(`start with ${CROWD} requests waiting`, await open().burst(CROWD))
  await end(slow)
}

function open(): OpenLoop {
  return new OpenLoop({ port: PORT, patienceMs: LONG_PATIENCE_MS })
}

function report(name: string, { answered, rejected, failed, givenUp, times }: Outcomes): void {
  const longest = `${Math.max(...times).toFixed(0)} ms`
  printRow([name, `${answered}`, `${rejected}`, `${failed + givenUp}`, longest])
}

function printRow(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}

async function countBytes(response: Response): Promise<number> {
  let bytes = 0
  for await (const piece of response.body ?? []) bytes += piece.length
  return bytes
}

function start(command: readonly string[], more?: Record<string, string>): Started {
  const env = { ...process.env, PORT: `${PORT}`, NODE_ENV: 'production', ...more }
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const started = { child, log: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      started.log = (started.log + text).slice(-20_000)
    })
  }
  return started
}

function isAnswering(): Promise<boolean> {
  return fetch(`http://127.0.0.1:${PORT}/`, { signal: AbortSignal.timeout(10_000) }).then(
    (response) => response.ok,
    () => false,
  )
}

/** Whether the socket listens, which it does before the application is loaded. */
function isListening(): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(PORT, '127.0.0.1', () => done(socket.destroy() !== undefined))
    socket.on('error', () => done(false))
  })
}
