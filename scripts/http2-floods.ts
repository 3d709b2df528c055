// `npm run build && npx tsx scripts/http2-floods.ts [--until-cut] [attack...]`: what clients of HTTP/2 can do to cost, each
// for 20 seconds on one worker under the real command, while ordinary requests go on. What must hold: all ordinary ones are
// answered, the worst within 250 ms; the worker grows by no more than 64 MiB; attackers are cut. Clients that take no
// answer are cut after `write_timeout`, which `--until-cut` waits for. Linux only.

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

const MB = 1_048_576
const ORDINARY_EVERY_MS = 100
const MOST_MS = 250
const MOST_GROWTH_MB = 64
const SECONDS = 20
/** Between two attacks: what the one has left is not the other's. */
const PAUSE_MS = 2_000

/** Answers of a megabyte: one for all, one made for each, and one made when something has been waited for. */
const APP = `
const shared = Buffer.alloc(${MB}, 'x')
module.exports = (req, res) => {
  if (req.url === '/shared') return void res.end(shared)
  if (req.url === '/fresh') return void res.end(Buffer.alloc(${MB}, 'x'))
  if (req.url === '/later') return void setTimeout(() => res.end('x'.repeat(${MB})), 20)
  if (req.method === 'POST') { req.resume(); req.on('end', () => res.end('ok')); return }
  res.end('ok')
}`

/** The attackers are a process of their own, so that they cost the measurement nothing but their processor time. */
async function attack(port: number, { connections, flood }: Attack): Promise<void> {
  let cut = 0
  const one = () => {
    const socket = connect(port, '127.0.0.1')
    const state = flood(socket)
    const timer = setInterval(() => state.beat?.(), 100)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      cut += 1
      setTimeout(one, 10)
    })
  }
  for (let count = 0; count < connections; count += 1) one()
  process.on('message', () => {
    process.send?.(cut)
  })
}

interface Row {
  readonly name: string
  readonly answered: number
  readonly failed: number
  readonly worst: number
  readonly grown: number
  readonly cut: number
  readonly isShort: boolean
}

async function measure(name: string, { cutAfter = SECONDS }: Attack): Promise<Row> {
  const seconds = untilCut ? cutAfter : SECONDS
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
      const answer = turn % 2 === 0 ? overHttp1(port) : overHttp2(port)
      const settled = answer.then(
        () => void times.push(performance.now() - begun),
        () => {
          failed += 1
        },
      )
      asked.push(settled)
      await new Promise((resolve) => setTimeout(resolve, ORDINARY_EVERY_MS))
    }
    await Promise.all(asked)
    const cut = await new Promise<number>((resolve) => {
      attackers.once('message', (count) => resolve(Number(count)))
      attackers.send('how many')
    })
    clearInterval(watch)
    attackers.kill()
    const worst = Math.max(...times)
    return {
      name,
      answered: times.length,
      failed,
      worst,
      grown: (peak - before) / MB,
      cut,
      isShort: seconds < cutAfter,
    }
  } finally {
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

/** One request on a connection of its own. */
function overHttp1(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume()
      response.on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`${response.statusCode}`))
      })
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}

function overHttp2(port: number): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on('error', reject)
    const stream = session.request({ ':path': '/' })
    stream.setTimeout(10_000, () => reject(new Error('no answer')))
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
      throw new Error(`no attack is called ${wanted}: ${Object.keys(ATTACKS).join(', ')}`)
    }
    show(await measure(wanted, chosen))
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

function show({ name, answered, failed, worst, grown, cut, isShort }: Row): void {
  const isBound = failed === 0 && worst <= MOST_MS && grown <= MOST_GROWTH_MB
  const holds = isBound && (cut > 0 || isShort)
  const figures = [
    `${answered} answered, ${failed} not`.padEnd(24),
    `worst ${worst.toFixed(0)} ms`.padEnd(15),
    `grew by ${grown.toFixed(1)} MiB`.padEnd(20),
    (isShort ? '' : `${cut} connections cut`).padEnd(24),
  ]
  console.log(`${name.padEnd(20)}${figures.join('')}${holds ? 'holds' : 'DOES NOT HOLD'}`)
}
