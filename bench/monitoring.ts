// `npx tsx bench/monitoring.ts [--only cost,blocked,series,memory] [--rounds N] [--seconds N]
// [--scrapes N]`: the bars of the monitoring, after a build of the release profile. It prints a row
// for each figure, and exits with 1 if a bar is missed.

import { type ChildProcess, spawn } from 'node:child_process'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { addonProfile } from '../scripts/build.ts'
import { ROOT } from '../scripts/command.ts'
import { spread } from './figures.ts'
import { chooseGenerator, drive } from './load.ts'
import { childrenOf, pinned, processorTimeUs, residentBytes, SERVER_CPU } from './processors.ts'
import { end, until } from './started.ts'

const PORT = 19_500
const METRICS_PORT = 19_550
const CLI = join(ROOT, 'dist/cli/main.js')
const APP = join(ROOT, 'bench/apps/monitored.cjs')
/** A server beside them, which shows how long any process waits for a processor. */
const BARE = 'a node:http server'
const BARE_PORT = 19_549
const BARE_SERVER = `require('http').createServer((_, res) => res.end()).listen(${BARE_PORT})`
const READY = { limitMs: 60_000 }
/** Prometheus' default is a scrape each minute, and 15 s is usual. */
const SCRAPE_INTERVAL_MS = 1_000
const CONNECTIONS = 64
const BLOCK_MS = 5_000
const BLOCKED_WORKERS = 4
const SERIES_WORKERS = 32
const SERIES = 2_000

const MAX_COST = 1.02
const MAX_BLOCKED_MS = 20
const MAX_SCRAPE_MS = 300
const MAX_GROWTH = 1.05

interface Server {
  readonly child: ChildProcess
  readonly pid: number
  readonly port: number
  readonly metricsPort: number | undefined
  log: string
}

interface Answer {
  readonly status: number
  readonly ms: number
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'cost,blocked,series,memory' },
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '3' },
    scrapes: { type: 'string', default: '10000' },
  },
})
const MEASURES = { cost, blocked, series, memory }
const agent = new Agent({ keepAlive: true })
let hasMissed = false

console.log(`Node ${process.version}, addon built with cargo profile ${addonProfile()}\n`)
console.log('| what | figure | bar | |\n| --- | --- | --- | --- |')
for (const [name, measure] of Object.entries(MEASURES)) {
  if (values.only.split(',').includes(name)) await measure()
}
agent.destroy()
process.exitCode = hasMissed ? 1 : 0

/** Processor time of a request with a page of metrics that is scraped, against without. */
async function cost(): Promise<void> {
  const generator = await chooseGenerator(undefined)
  const seconds = Number(values.seconds)
  const servers = [await start(0, { workers: 1, isPinned: true })]
  servers.push(await start(1, { workers: 1, isPinned: true, hasMetrics: true }))
  const measure = async (server: Server) => {
    const scraping = setInterval(() => void scrape(server), SCRAPE_INTERVAL_MS)
    if (server.metricsPort === undefined) clearInterval(scraping)
    const before = timesOf(server)
    const load = { port: server.port, connections: CONNECTIONS, seconds, close: false, path: '/' }
    const { requests } = await drive(generator, load)
    clearInterval(scraping)
    const after = timesOf(server)
    return {
      worker: (after.worker - before.worker) / requests,
      all: (after.worker + after.arbiter - before.worker - before.arbiter) / requests,
    }
  }
  for (const server of servers) await measure(server)
  const ratios: { worker: number[]; all: number[] } = { worker: [], all: [] }
  for (let round = 0; round < Number(values.rounds); round += 1) {
    // The order alternates, so that neither always follows the other.
    const order = round % 2 === 0 ? [0, 1] : [1, 0]
    const taken: { worker: number; all: number }[] = []
    for (const index of order) {
      const server = servers[index]
      if (server !== undefined) taken[index] = await measure(server)
    }
    const [off, on] = taken
    if (off === undefined || on === undefined) continue
    ratios.worker.push(on.worker / off.worker)
    ratios.all.push(on.all / off.all)
  }
  await Promise.all(servers.map(end))
  for (const [name, part] of [
    ['worker', ratios.worker],
    ['worker and arbiter', ratios.all],
  ] as const) {
    const { median, least, most } = spread(part)
    row({
      what: `processor time of a request, a scrape each second against none: ${name}`,
      figure: `${median.toFixed(3)} (${least.toFixed(3)} to ${most.toFixed(3)})`,
      bar: `${MAX_COST}`,
      isHeld: median <= MAX_COST,
    })
  }
}

/** The pages while the event loop of each worker is blocked. */
async function blocked(): Promise<void> {
  const server = await start(2, {
    workers: BLOCKED_WORKERS,
    hasMetrics: true,
    args: ['--health-paths', '/readyz'],
    env: { BLOCK_MS: `${BLOCK_MS}` },
  })
  const bare = spawn(process.execPath, ['-e', BARE_SERVER], { stdio: 'ignore' })
  await until(
    async () => {
      const answer = await fetchPage({ port: BARE_PORT, path: '/' }).catch(() => undefined)
      return answer?.status === 200
    },
    server,
    READY,
  )
  await scrape(server)
  const requests = Array.from({ length: 3 * BLOCKED_WORKERS }, () =>
    fetchPage({ port: server.port, path: '/block', isKept: false }).catch(() => undefined),
  )
  await until(
    async () => {
      const active = await scrape(server, '?by=worker')
      const counts = [...active.text.matchAll(/^http_server_active_requests\{[^}]*\} (\d+)$/gm)]
      const inFlight = counts.map(([, count]) => Number(count))
      const total = inFlight.reduce((sum, count) => sum + count, 0)
      return total === requests.length && inFlight.every((count) => count > 0)
    },
    server,
    READY,
  )
  const times: Record<'/metrics' | '/readyz' | 'the public /readyz' | typeof BARE, number[]> = {
    '/metrics': [],
    '/readyz': [],
    'the public /readyz': [],
    [BARE]: [],
  }
  let isCurrent = true
  let blockedSeconds = -1
  const end = performance.now() + BLOCK_MS - 500
  while (performance.now() < end) {
    const page = await scrape(server)
    times['/metrics'].push(page.ms)
    const now = Number(/^monoceros_event_loop_blocked_seconds_total (\S+)$/m.exec(page.text)?.[1])
    const isFull = page.text.includes(`\nhttp_server_active_requests ${requests.length}\n`)
    isCurrent &&= isFull && now >= blockedSeconds
    blockedSeconds = now
    const ready = await fetchPage({ port: server.metricsPort ?? 0, path: '/readyz' })
    times['/readyz'].push(ready.ms)
    const open = await fetchPage({ port: server.port, path: '/readyz', isKept: false })
    times['the public /readyz'].push(open.ms)
    isCurrent &&= ready.status === 200 && open.status === 200
    const plain = await fetchPage({ port: BARE_PORT, path: '/', isKept: false })
    times[BARE].push(plain.ms)
    await pause(25)
  }
  // Blocked since the first heartbeat that is missing.
  isCurrent &&= blockedSeconds > (BLOCKED_WORKERS * (BLOCK_MS - 2_500)) / 1_000
  for (const pid of [server.pid, ...childrenOf(server.pid), bare.pid ?? 0])
    process.kill(pid, 'SIGKILL')
  await Promise.all(requests)
  for (const [name, taken] of Object.entries(times)) {
    const sorted = taken.sort((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
    row({
      what: `${name} while ${BLOCKED_WORKERS} workers are blocked, ${taken.length} requests`,
      figure: [0.5, 0.99, 1]
        .map((share) => at(share).toFixed(1))
        .join(' / ')
        .concat(' ms'),
      bar: name === BARE ? 'none' : `${MAX_BLOCKED_MS} ms, current`,
      isHeld: name === BARE || (at(1) <= MAX_BLOCKED_MS && isCurrent),
    })
  }
}

/** A scrape of many workers whose application has many series. */
async function series(): Promise<void> {
  const server = await start(3, {
    workers: SERIES_WORKERS,
    hasMetrics: true,
    env: { SERIES: `${SERIES}` },
  })
  const isComplete = ({ text }: Answer) => countSeries(text, SERIES_WORKERS) === SERIES
  await until(async () => isComplete(await scrape(server)), server, READY)
  const answers: Answer[] = []
  for (let count = 0; count < 20; count += 1) {
    await pause(250)
    answers.push(await scrape(server))
  }
  const { median, most } = spread(answers.map(({ ms }) => ms))
  row({
    what: `a scrape of ${SERIES_WORKERS} workers with ${SERIES} series each, 20 scrapes`,
    figure: `${median.toFixed(0)} ms, at most ${most.toFixed(0)} ms`,
    bar: `${MAX_SCRAPE_MS} ms, complete`,
    isHeld: most <= MAX_SCRAPE_MS && answers.every(isComplete),
  })
  await end(server)
}

/** The arbiter's memory over many scrapes. */
async function memory(): Promise<void> {
  const [workers, count] = [2, 500]
  const server = await start(4, { workers, hasMetrics: true, env: { SERIES: `${count}` } })
  await until(
    async () => countSeries((await scrape(server)).text, workers) === count,
    server,
    READY,
  )
  const total = Number(values.scrapes)
  const marks: number[] = []
  const startedAtMs = performance.now()
  for (let done = 1; done <= total; done += 1) {
    await scrape(server)
    if (done % Math.ceil(total / 20) === 0) marks.push(residentBytes(server.pid) / 2 ** 20)
  }
  const seconds = (performance.now() - startedAtMs) / 1_000
  const early = spread(marks.slice(2, 10)).most
  const late = spread(marks.slice(10)).most
  row({
    what: `memory of the arbiter over ${total} scrapes (${workers} workers, ${count} series each)`,
    figure:
      `at most ${early.toFixed(1)} MiB in the first half, ${late.toFixed(1)} MiB in the second ` +
      `(${(total / seconds).toFixed(0)} scrapes/s)`,
    bar: `growth ${MAX_GROWTH}`,
    isHeld: late / early <= MAX_GROWTH,
  })
  await end(server)
}

/** Number of series of the application whose value is that of this many workers. */
function countSeries(text: string, workers: number): number {
  const lines = text.match(/^own_events_total\{[^}]*\} \d+$/gm) ?? []
  return lines.filter((line) => line.endsWith(` ${workers}`)).length
}

/** Scrapes as Prometheus does. */
async function scrape({ metricsPort = 0 }: Server, query = ''): Promise<Answer> {
  const headers = {
    Accept: 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.6',
    'Accept-Encoding': 'gzip',
  }
  return await fetchPage({ port: metricsPort, path: `/metrics${query}`, headers })
}

interface PageRequest {
  readonly port: number
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly isKept?: boolean
}

/** The time is that to the last byte; it does not include the decompression. */
function fetchPage({ port, path, headers = {}, isKept = true }: PageRequest): Promise<Answer> {
  return new Promise((done, fail) => {
    const startedAtMs = performance.now()
    const options = { port, path, headers, agent: isKept ? agent : false }
    const sent = request({ host: '127.0.0.1', ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', fail).on('end', () => {
        const ms = performance.now() - startedAtMs
        const body = Buffer.concat(chunks)
        const isZipped = response.headers['content-encoding'] === 'gzip'
        const text = (isZipped ? gunzipSync(body) : body).toString()
        done({ status: response.statusCode ?? 0, ms, text, headers: response.headers })
      })
    })
    sent.on('error', fail).end()
  })
}

interface StartOptions {
  readonly workers: number
  readonly isPinned?: boolean
  readonly hasMetrics?: boolean
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a server and waits until all of its workers serve. */
async function start(index: number, options: StartOptions): Promise<Server> {
  const { workers, isPinned = false, hasMetrics = false, args = [], env = {} } = options
  const port = PORT + index
  const metricsPort = hasMetrics ? METRICS_PORT + index : undefined
  const bind = hasMetrics ? ['--metrics-bind', `127.0.0.1:${metricsPort}`] : []
  const [program = '', ...words] = pinned(isPinned ? SERVER_CPU : null, [
    ...[process.execPath, CLI, APP, '-w', `${workers}`, '-b', `127.0.0.1:${port}`],
    ...['--boot-timeout', '120', ...bind, ...args],
  ])
  const child = spawn(program, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '', ...env },
  })
  const server: Server = { child, pid: child.pid ?? 0, port, metricsPort, log: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    server.log = (server.log + text).slice(-100_000)
  })
  await until(() => /Ready: /.test(server.log), server, READY)
  if (hasMetrics) await until(() => /Metrics at: /.test(server.log), server, READY)
  return server
}

/** Processor time of a server in microseconds. */
function timesOf({ pid }: Server): { readonly worker: number; readonly arbiter: number } {
  const worker = childrenOf(pid).reduce((sum, child) => sum + processorTimeUs(child), 0)
  return { worker, arbiter: processorTimeUs(pid) }
}

function row(line: { what: string; figure: string; bar: string; isHeld: boolean }): void {
  hasMissed ||= !line.isHeld
  console.log(`| ${line.what} | ${line.figure} | ${line.bar} | ${line.isHeld ? '' : 'missed'} |`)
}
