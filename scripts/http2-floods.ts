// Runs each HTTP/2 attack for 20 seconds against one worker of the real command, while ordinary
// clients send requests. All ordinary requests must be served, the slowest within 250 ms. The
// worker must grow by at most 64 MiB, and it must abort the attackers' connections. Connections
// that read no response are aborted after `write_timeout`; `--until-cut` waits for that.
// Linux only. Usage: `npm run build && npx tsx scripts/http2-floods.ts [--until-cut] [attack...]`.

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { childrenOf, residentBytes } from '../bench/processors.ts'
import { startCommand } from './command.ts'
import { ATTACKS, type Attack } from './http2-attacks.ts'

const MIB = 1_048_576
const ORDINARY_EVERY_MS = 100
const MAX_RESPONSE_MS = 250
const MAX_GROWTH_MIB = 64
const SECONDS = 20
/** Pause between two attacks, so that the first cannot affect the second. */
const PAUSE_MS = 2_000

/**
 * Responses of 1 MiB: from one shared buffer, from a new buffer, and from a new buffer after a
 * timer.
 */
const APP = `
const shared = Buffer.alloc(${MIB}, 'x')
module.exports = (req, res) => {
  if (req.url === '/shared') return void res.end(shared)
  if (req.url === '/fresh') return void res.end(Buffer.alloc(${MIB}, 'x'))
  if (req.url === '/later') return void setTimeout(() => res.end('x'.repeat(${MIB})), 20)
  if (req.method === 'POST') { req.resume(); req.on('end', () => res.end('ok')); return }
  res.end('ok')
}`

/** Runs in a child process, so that attackers do not block the event loop that measures. */
async function attack(port: number, { connections, flood }: Attack): Promise<void> {
  let closed = 0
  const openConnection = () => {
    const socket = connect(port, '127.0.0.1')
    const state = flood(socket)
    const timer = setInterval(() => state.onTick?.(), 100)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      closed += 1
      setTimeout(openConnection, 10)
    })
  }
  for (let count = 0; count < connections; count += 1) openConnection()
  process.on('message', () => {
    process.send?.(closed)
  })
}

interface Row {
  readonly name: string
  readonly served: number
  readonly failed: number
  readonly slowestMs: number
  readonly growthMib: number
  /** Connections that the server closed. */
  readonly closed: number
  /** Whether the run ends before the server must have closed a connection. */
  readonly isCloseDueLater: boolean
}

async function measure(name: string, { closedAfterSeconds = SECONDS }: Attack): Promise<Row> {
  const seconds = untilCut ? closedAfterSeconds : SECONDS
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-floods-'))
  writeFileSync(join(directory, 'app.js'), APP)
  const program = await startCommand(directory, ['app.js', '-w', '1', '--http-protocols', 'h2,h1'])
  try {
    const { port } = program
    const [worker = 0] = childrenOf(program.pid)
    for (let count = 0; count < 300; count += 1) await overHttp1(port)
    const before = residentBytes(worker)
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, residentBytes(worker))
    }, 100)
    const attackers = fork(fileURLToPath(import.meta.url), ['--attack', name, `${port}`])
    const times: number[] = []
    let failed = 0
    const asked: Promise<void>[] = []
    const end = Date.now() + seconds * 1_000
    for (let turn = 0; Date.now() < end; turn += 1) {
      const begun = performance.now()
      const response = turn % 2 === 0 ? overHttp1(port) : overHttp2(port)
      const settled = response.then(
        () => void times.push(performance.now() - begun),
        () => {
          failed += 1
        },
      )
      asked.push(settled)
      await new Promise((resolve) => setTimeout(resolve, ORDINARY_EVERY_MS))
    }
    await Promise.all(asked)
    const closed = await new Promise<number>((resolve) => {
      attackers.once('message', (count) => resolve(Number(count)))
      attackers.send('report')
    })
    clearInterval(watch)
    attackers.kill()
    const slowestMs = Math.max(...times)
    return {
      name,
      served: times.length,
      failed,
      slowestMs,
      growthMib: (peak - before) / MIB,
      closed,
      isCloseDueLater: seconds < closedAfterSeconds,
    }
  } finally {
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

/** Sends one HTTP/1.1 request on a new connection. */
function overHttp1(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume()
      response.on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`${response.statusCode}`))
      })
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no response')))
    request.on('error', reject)
  })
}

/** Sends one HTTP/2 request on a new connection. */
function overHttp2(port: number): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', reject)
    const stream = session.request({ ':path': '/' })
    stream.setTimeout(10_000, () => reject(new Error('no response')))
    stream.on('error', reject)
    stream.on('response', ({ ':status': status }) => {
      if (status !== 200) reject(new Error(`${status}`))
    })
    stream.resume()
    stream.on('end', () => {
      session.close()
      resolve()
    })
  })
}

const [first, name = '', port] = process.argv.slice(2)
const untilCut = first === '--until-cut'
if (first === '--attack') {
  const chosen = ATTACKS[name]
  if (chosen !== undefined) await attack(Number(port), chosen)
} else {
  const names = process.argv.slice(untilCut ? 3 : 2)
  for (const wanted of names.length > 0 ? names : Object.keys(ATTACKS)) {
    const chosen = ATTACKS[wanted]
    if (chosen === undefined) {
      throw new Error(`unknown attack ${wanted}; use ${Object.keys(ATTACKS).join(', ')}`)
    }
    printRow(await measure(wanted, chosen))
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

function printRow({
  name,
  served,
  failed,
  slowestMs,
  growthMib,
  closed,
  isCloseDueLater,
}: Row): void {
  const isBound = failed === 0 && slowestMs <= MAX_RESPONSE_MS && growthMib <= MAX_GROWTH_MIB
  const holds = isBound && (closed > 0 || isCloseDueLater)
  const figures = [
    `${served} served, ${failed} failed`.padEnd(24),
    `slowest ${slowestMs.toFixed(0)} ms`.padEnd(15),
    `grew by ${growthMib.toFixed(1)} MiB`.padEnd(20),
    (isCloseDueLater ? '' : `${closed} connections closed`).padEnd(24),
  ]
  console.log(`${name.padEnd(20)}${figures.join('')}${holds ? 'holds' : 'DOES NOT HOLD'}`)
}
