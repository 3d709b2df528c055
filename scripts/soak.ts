// Soak test: sends signals to the command under mixed load, counts lost requests, prints a table.
//
//     npm run build && npx tsx scripts/soak.ts [scenario...]
//
// Scenarios: reload, workers, upgrade, install, rollback, rotation, binds, recycle, term. They run
// by default. `long` (20 minutes with a HUP every 20 s) and `chaos` (10 seeds with 200 random
// signals each) run only when named.
//
// The load: 64 keep-alive connections, new connections for each request, handlers of 200 ms,
// uploads of 1 MB, downloads of 10 MB, and WebSockets.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { family, sendChaos, settleAfterChaos } from '../__test__/process/chaos.ts'
import { isAlive, Program, until } from '../__test__/process/program.ts'
import { ROOT } from './command.ts'
import { type MixedLoad, sendLateRequest, startMixedLoad } from './soak-load.ts'

const APP = `
const http = require('node:http')
const { WebSocketServer } = require('ws')
const big = Buffer.alloc(10 * 1024 * 1024, 'x')
const server = http.createServer((req, res) => {
  res.setHeader('x-worker', process.pid)
  if (req.url === '/slow') return void setTimeout(() => res.end('slow'), 200)
  if (req.url === '/slower') return void setTimeout(() => res.end('slower'), 2000)
  if (req.url === '/download') return void res.end(big)
  if (req.url !== '/upload') return void res.end('ok')
  let bytes = 0
  req.on('data', (chunk) => { bytes += chunk.length })
  req.on('end', () => res.end(String(bytes)))
})
new WebSocketServer({ server, path: '/socket' }).on('connection', (socket) => {
  socket.on('message', (data) => socket.send(String(data)))
})
server.listen(3000)`

const ENGINE = process.env.SOAK_ENGINE ?? 'auto'
const WORKERS = 4
const HUP_EVERY_MS = Number(process.env.SOAK_HUP_MS ?? 20_000)
/** Log lines that are printed with a lost request. */
const LOG_LINES_PER_LOSS = 24
/** Number of losses that are printed in full; further ones usually have the same cause. */
const MAX_REPORTED_LOSSES = 10
let reportedLosses = 0

interface Scenario {
  /** Text of the first column of the table. */
  readonly title: string
  readonly args?: readonly string[]
  /** Name of a link in the work directory. The command runs from a copy of the package below it. */
  readonly installed?: string
  /** Sends the signals; the result is a note for the table. */
  run(stage: Stage): Promise<string | undefined>
}

/** A running command with its load. */
interface Stage {
  readonly program: Program
  /** Value of `--name`, which is in the titles of all its processes. */
  readonly name: string
  readonly load: MixedLoad
}

const SCENARIOS: Record<string, Scenario> = {
  reload: {
    title: 'HUP, five times',
    async run({ program }) {
      for (let count = 0; count < 5; count += 1) await reload(program)
      return undefined
    },
  },
  workers: {
    title: 'TTIN three times, TTOU four times',
    async run({ program }) {
      for (let count = 0; count < 3; count += 1) {
        program.signal('SIGTTIN')
        await program.line(/Worker ready/)
      }
      for (let count = 0; count < 4; count += 1) {
        program.signal('SIGTTOU')
        await program.line(/Worker exiting/)
      }
      return `${program.workers().length} workers`
    },
  },
  upgrade: {
    title: 'USR2, then TERM to the old arbiter',
    async run({ program }) {
      await upgrade(program)
      program.signal('SIGTERM')
      return `exit ${await program.exited}`
    },
  },
  install: {
    title: 'another installation at the link `current`, USR2, then TERM to the old arbiter',
    installed: 'current',
    async run({ program }) {
      install(program.directory, 'second')
      const newArbiter = await upgrade(program)
      const addon = /\S+\.node$/m.exec(readFileSync(`/proc/${newArbiter}/maps`, 'utf8'))?.[0]
      if (!addon?.includes('/second/'))
        throw new TypeError(`the new arbiter uses the addon ${addon}`)
      program.signal('SIGTERM')
      return `exit ${await program.exited}`
    },
  },
  rollback: {
    title: 'USR2, WINCH, HUP to the old arbiter, TERM to the new one',
    async run({ program }) {
      const newArbiter = await upgrade(program)
      program.signal('SIGWINCH')
      for (let count = 0; count < WORKERS; count += 1) await program.line(/Worker exiting/)
      program.signal('SIGHUP')
      for (let count = 0; count < WORKERS; count += 1) await program.line(/Worker ready/)
      process.kill(newArbiter, 'SIGTERM')
      await program.line(/The new arbiter .* exited/)
      return undefined
    },
  },
  rotation: {
    title: 'rename of both logs and USR1, five times',
    args: ['--access-logfile', 'access.log', '--access-logformat', '%(U)s'],
    async run({ program, load }) {
      for (let count = 1; count <= 5; count += 1) {
        await new Promise((done) => setTimeout(done, 1_000))
        renameSync(
          join(program.directory, 'access.log'),
          join(program.directory, `access.${count}`),
        )
        program.signal('SIGUSR1')
        await until(() => existsSync(join(program.directory, 'access.log')), 'the new file')
      }
      const { served: servedRequests, opened } = await load.stop()
      // The access log also has one line for each WebSocket.
      const served = servedRequests + opened
      program.signal('SIGTERM')
      await program.exited
      const lines = readdirSync(program.directory)
        .filter((file) => file.startsWith('access.'))
        .reduce(
          (sum, file) =>
            sum + readFileSync(join(program.directory, file), 'utf8').split('\n').length - 1,
          0,
        )
      if (lines !== served) throw new TypeError(`${lines} lines for ${served} responses`)
      return `${lines} lines for ${served} responses`
    },
  },
  binds: {
    title: 'reload that adds an address, reload that removes it',
    async run({ program }) {
      const [path, binds] = [join(program.directory, 'more.sock'), baseBinds()]
      await reload(program, [...binds, 'unix:more.sock'])
      if (!existsSync(path)) throw new TypeError('the server does not listen at the new address')
      await reload(program, binds)
      if (existsSync(path)) throw new TypeError('the server still listens at the old address')
      return undefined
    },
  },
  recycle: {
    title: 'max_requests 200',
    args: ['--max-requests', '200', '--max-requests-jitter', '50'],
    async run({ program }) {
      await new Promise((done) => setTimeout(done, 15_000))
      return `${program.log.match(/Autorestarting/g)?.length ?? 0} workers replaced`
    },
  },
  term: {
    title: 'TERM with everything in flight',
    async run({ program, load }) {
      await load.stop()
      const last = await load.launch(program.port)
      const late = await sendLateRequest(program.port, () => program.signal('SIGTERM'))
      const lost = await last()
      if (lost.length > 0) throw new TypeError(`lost: ${lost.join('; ')}`)
      return `exit ${await program.exited}; a late request on a keep-alive connection: ${late}`
    },
  },
}

const names = process.argv.slice(2)
const rows: string[] = []
let failed = false
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  if (names.length === 0 || names.includes(name)) await play(scenario)
}
if (names.includes('long')) await play(longScenario(await startCounter()))
if (names.includes('chaos')) for (const seed of seeds()) await playChaos(seed)
console.log(['| scenario | served | lost | notes |', '|---|---|---|---|', ...rows].join('\n'))
process.exitCode = failed ? 1 : 0

async function play({ title, args = [], installed, run }: Scenario): Promise<void> {
  const stage = await open(args, installed === undefined ? {} : { installed })
  const result = await run(stage).catch((error: unknown) => `FAILED: ${String(error)}`)
  await new Promise((done) => setTimeout(done, 500))
  const { served, restarted, lost } = await stage.load.stop()
  await close(stage)
  failed ||= lost.length > 0 || result?.startsWith('FAILED') === true
  const note = `${restarted} WebSockets closed with 1012`
  addRow(title, served, lost, result === undefined ? note : `${result}; ${note}`)
}

function seeds(): number[] {
  const given = process.env.SOAK_SEEDS?.split(',').map(Number)
  return given ?? Array.from({ length: 10 }, (_, index) => index + 1)
}

async function playChaos(seed: number): Promise<void> {
  // Some of these signals terminate a worker at once, with its requests in flight.
  const stage = await open([], { isLossless: false })
  const { program, name } = stage
  const sent = await sendChaos(program, { seed, signals: 200, pauseMs: 60, name })
  const result = await settleAfterChaos(program, { name, workers: WORKERS }).then(
    () => `${WORKERS} workers, no other process`,
    (error: unknown) => `FAILED: ${String(error)}`,
  )
  if (result.startsWith('FAILED')) printProcesses(stage, sent)
  const { served, lost } = await stage.load.stop()
  await close(stage)
  failed ||= result.startsWith('FAILED')
  addRow(`200 random signals, seed ${seed}`, served, lost, result)
}

/** Prints the signals, the log and the processes of a failed run. */
function printProcesses({ program, name }: Stage, sent: readonly string[]): void {
  console.log(sent.join(', '))
  console.log(program.log.split('\n').slice(-80).join('\n'))
  for (const [kind, pids] of Object.entries(family(program, name))) {
    for (const pid of pids) {
      const [state] = /^State:.*$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
      console.log(`${kind} ${pid} ${state} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}`)
    }
  }
}

function longScenario(counter: Counter): Scenario {
  const minutes = Number(process.env.SOAK_MINUTES ?? 20)
  return {
    title: `${minutes} minutes, a HUP every ${HUP_EVERY_MS / 1_000} s`,
    args: ['--statsd-host', counter.address],
    async run({ program, load }) {
      const figures = () => `${rssMb(program.pid)} MB, ${descriptorCount(program.pid)} descriptors`
      await reload(program)
      const first = figures()
      const end = Date.now() + minutes * 60_000
      while (Date.now() < end) {
        await reload(program)
        await new Promise((done) => setTimeout(done, HUP_EVERY_MS))
      }
      const last = figures()
      const { served, opened } = await load.stop()
      const counts = `${served} responses and ${opened} WebSockets`
      const counted = `${counter.requests()} counted for ${counts}`
      await until(() => counter.requests() >= served + opened, counted, 20_000)
      if (counter.requests() !== served + opened) throw new TypeError(counted)
      return `arbiter: ${first} -> ${last}; ${counted}`
    },
  }
}

interface Counter {
  /** Address for `--statsd-host`. */
  readonly address: string
  /** Number of requests that the server has reported. */
  requests(): number
}

/** Starts a statsd server that adds up the counter `gunicorn.requests`. */
async function startCounter(): Promise<Counter> {
  let requests = 0
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  socket.on('message', (message) => {
    for (const [, count] of String(message).matchAll(/^gunicorn\.requests:(\d+)\|c/gm)) {
      requests += Number(count)
    }
  })
  socket.bind(0, '127.0.0.1').unref()
  await once(socket, 'listening')
  return { address: `127.0.0.1:${socket.address().port}`, requests: () => requests }
}

/** Copies the built package into the directory and points the link `current` to it. */
function install(directory: string, name: string): void {
  const at = join(directory, name)
  cpSync(join(ROOT, 'dist'), join(at, 'dist'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(at, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(at, 'node_modules'))
  // The rename replaces the link atomically, so it always exists.
  symlinkSync(name, join(directory, 'next'))
  renameSync(join(directory, 'next'), join(directory, 'current'))
}

/** Starts the command in a new directory, and the load. */
async function open(
  args: readonly string[],
  { installed, isLossless = true }: { installed?: string; isLossless?: boolean } = {},
): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-soak-'))
  if (installed !== undefined) install(directory, 'first')
  const name = `soak-${process.pid}`
  const program = new Program(directory, {
    args: [
      'app.cjs',
      '-w',
      String(WORKERS),
      '-n',
      name,
      '--engine',
      ENGINE,
      '--log-level',
      'debug',
      ...args,
    ],
    env: { NODE_PATH: join(ROOT, 'node_modules') },
    ...(installed === undefined ? {} : { entry: join(directory, installed, 'dist/cli/main.js') }),
  })
  program.write('app.cjs', APP)
  program.write('monoceros.config.json', JSON.stringify({ bind: baseBinds() }))
  await program.ready(WORKERS)
  const load = startMixedLoad(program.port, (why) => {
    if (isLossless) printLoss(program, why)
  })
  return { program, name, load }
}

/** Prints a lost request with the last lines of the log. */
function printLoss({ log }: Program, why: string): void {
  reportedLosses += 1
  if (reportedLosses > MAX_REPORTED_LOSSES) return
  console.log(`LOST ${why}\n  ${log.trimEnd().split('\n').slice(-LOG_LINES_PER_LOSS).join('\n  ')}`)
}

/** Kills all processes of the command and removes its directory. */
async function close({ program, name }: Stage): Promise<void> {
  const liveProcesses = () =>
    [program.pid, ...Object.values(family(program, name)).flat()].filter(isAlive)
  for (const pid of liveProcesses()) process.kill(pid, 'SIGKILL')
  await until(() => liveProcesses().length === 0, 'the exit of all processes')
  rmSync(program.directory, { recursive: true, force: true })
}

/** Port 0 counts as the same address at a reload, whichever port the server got. */
function baseBinds(): string[] {
  return ['127.0.0.1:0']
}

async function reload(program: Program, bind?: readonly string[]): Promise<void> {
  if (bind !== undefined) program.write('monoceros.config.json', JSON.stringify({ bind }))
  const count = () => program.log.match(/Reload complete/g)?.length ?? 0
  const before = count()
  program.signal('SIGHUP')
  // On a busy machine a client may read its download slowly, and a reload waits for it.
  await until(() => count() > before, 'the reload', 90_000)
}

/** Starts a new arbiter with USR2 and returns its process id. */
async function upgrade(program: Program): Promise<number> {
  program.signal('SIGUSR2')
  const [, pid] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
  await program.line(/is serving beside this one/)
  return Number(pid)
}

function addRow(title: string, served: number, lost: readonly string[], result?: string): void {
  // Each loss has been printed with its details, so the table shows only the reasons.
  const kinds = lost.map((why) => why.split(';', 1)[0] ?? '')
  const reasons = [...new Set(kinds)].slice(0, 3).join('; ')
  const notes = [result, reasons].filter(Boolean).join('; ')
  const row = `| ${title} | ${served} | ${lost.length} | ${notes} |`
  rows.push(row)
  console.log(row)
}

/** Resident memory of a process, in MiB. */
function rssMb(pid: number): number {
  return Math.round(
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024,
  )
}

function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
