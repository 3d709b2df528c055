// `npx tsx bench/processes.ts [--node 22,24] [--rounds N] [--load SECONDS]`: the cost of processes.
// Start to first response with four workers, and a worker's boot, against `node app.js`; resident
// memory of an idle worker against that, and of the arbiter against an idle process; the arbiter's
// processor time while its workers are under full load.

import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ROOT } from '../scripts/command.ts'
import { compileAll } from './compiled.ts'
import { spread } from './figures.ts'
import { chooseGenerator, drive } from './load.ts'
import { findNode, type NodeBinary } from './nodes.ts'
import { childrenOf, processorTimeUs, residentBytes } from './processors.ts'
import { end, type Started, until } from './started.ts'

const PORT = 19_470
const APP = join(ROOT, 'bench/apps/express-script.js')
const CLI = join(ROOT, 'dist/cli/main.js')
/**
 * After its first answer a process still grows for a moment, and what it has compiled is written
 * for the next one.
 */
const SETTLE_MS = 3_000
const READY = { limitMs: 30_000, pollMs: 2 }
const LOAD_CONNECTIONS = 64

interface Timed extends Started {
  readonly startedAtMs: number
  log: string
}

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '10' },
    load: { type: 'string', default: '60' },
  },
})

await compileAll()
console.log(
  '| Node | what | figure | measure | ratio | bar |\n| --- | --- | --- | --- | --- | --- |',
)
for (const wanted of values.node.split(',')) await measure(await findNode(wanted))

async function measure(node: NodeBinary): Promise<void> {
  const rounds = Number(values.rounds)
  const [alone, starts, boots]: number[][] = [[], [], []]
  // One to fill the compile cache.
  await arbiterFor(node, 4, () => pause(SETTLE_MS))
  for (let round = 0; round < rounds; round += 1) {
    alone?.push(await plainStart(node))
    await arbiterFor(node, 4, async (arbiter, firstMs) => {
      starts?.push(firstMs)
      boots?.push(await bootOfOneMore(arbiter))
    })
  }
  const compiles = Number(node.version.slice(1).split('.')[0]) >= 22
  const one = spread(alone ?? []).median
  const row = (what: string, figure: number, base: number, { unit = 'ms', bar = 0, digits = 0 }) =>
    console.log(
      `| ${node.version} | ${what} | ${figure.toFixed(digits)} ${unit} | ` +
        `${base.toFixed(digits)} ${unit} | **${(figure / base).toFixed(2)}** | ${bar} |`,
    )
  row('start to first answer, 4 workers', spread(starts ?? []).median, one, { bar: 3 })
  row('boot of a worker', spread(boots ?? []).median, one, { bar: compiles ? 1.2 : 1.5 })
  const mebibytes = { unit: 'MiB', digits: 1 }
  const script = await plainMemory(node, [APP])
  const nothing = await plainMemory(node, ['-e', 'setInterval(()=>{},1e9)'])
  await arbiterFor(node, 1, async ({ child: { pid = 0 } }) => {
    await pause(SETTLE_MS)
    row('memory of an idle worker', megabytes(childrenOf(pid)[0]), script, {
      ...mebibytes,
      bar: 1.35,
    })
  })
  const seconds = Number(values.load)
  await arbiterFor(node, 4, async ({ child: { pid = 0 } }) => {
    await pause(SETTLE_MS)
    row('memory of the arbiter', megabytes(pid), nothing, { ...mebibytes, bar: 1.5 })
    if (seconds === 0) return
    const before = processorTimeUs(pid)
    const generator = await chooseGenerator(undefined)
    await drive(generator, {
      port: PORT,
      connections: LOAD_CONNECTIONS,
      seconds,
      close: false,
      path: '/',
    })
    const percent = (processorTimeUs(pid) - before) / (seconds * 10_000)
    console.log(
      `| ${node.version} | processor of the arbiter, ${seconds} s of load | ` +
        `${percent.toFixed(2)} % of a core | | | 0.5 |`,
    )
  })
}

async function plainStart(node: NodeBinary): Promise<number> {
  const started = start([node.path, APP])
  const ms = await firstAnswerMs(started)
  await end(started)
  return ms
}

async function plainMemory(node: NodeBinary, args: readonly string[]): Promise<number> {
  const started = start([node.path, ...args])
  if (args[0] === APP) await firstAnswerMs(started)
  await pause(SETTLE_MS)
  const size = megabytes(started.child.pid)
  await end(started)
  return size
}

/**
 * Starts an arbiter, waits for the first answer and for all workers, and ends it when it has been
 * used.
 */
async function arbiterFor(
  node: NodeBinary,
  workers: number,
  use: (arbiter: Started, firstMs: number) => Promise<void>,
): Promise<void> {
  const args = ['-w', String(workers), '-b', `127.0.0.1:${PORT}`, '--log-level', 'debug']
  const arbiter = start([node.path, CLI, APP, ...args])
  const firstMs = await firstAnswerMs(arbiter)
  await until(() => arbiter.log.match(/Worker ready/g)?.length === workers, arbiter, READY)
  await use(arbiter, firstMs)
  await end(arbiter)
}

/** From the signal to the log line of the ready worker. */
async function bootOfOneMore(arbiter: Started): Promise<number> {
  const ready = () => arbiter.log.match(/Worker ready/g)?.length ?? 0
  const before = ready()
  const startedAtMs = performance.now()
  arbiter.child.kill('SIGTTIN')
  await until(() => ready() > before, arbiter, READY)
  return performance.now() - startedAtMs
}

function start(command: readonly [string, ...string[]]): Timed {
  const [program, ...args] = command
  const env = { ...process.env, PORT: String(PORT), NODE_ENV: 'production', NODE_OPTIONS: '' }
  const startedAtMs = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env })
  const started: Timed = { child, startedAtMs, log: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    started.log += text
  })
  return started
}

async function firstAnswerMs(started: Timed): Promise<number> {
  await until(asks, started, READY)
  return performance.now() - started.startedAtMs
}

/** By hand: a client of HTTP takes longer to load than what is measured. */
function asks(): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(PORT, '127.0.0.1')
    socket.on('connect', () => {
      socket.write('GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n')
    })
    socket.on('data', () => {
      socket.destroy()
      done(true)
    })
    socket.on('error', () => done(false))
  })
}

function megabytes(pid = 0): number {
  return residentBytes(pid) / 2 ** 20
}
