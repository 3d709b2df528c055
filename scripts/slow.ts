// `npm run build && npx tsx scripts/slow.ts [stream|buffer]`: slow clients on one worker under the real command, while
// ordinary requests go on. What must hold: all ordinary ones are answered, the worst within 250 ms; every slow client is
// closed at its deadline; the worker grows by no more than 64 MiB. Linux only; takes a minute and a half.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childrenOf, residentBytes } from '../bench/processors.ts'
import { startCommand } from './command.ts'

const MB = 1_048_576
const SIZE = 20 * MB
const RUN_MS = 75_000
const ORDINARY_EVERY_MS = 100
/** The last bytes may take a while into the kernels, and a reader is looked at every two seconds. */
const SLACK_MS = 6_000

const APP = `
const big = Buffer.alloc(${SIZE}, 'x')
const reset = []
const piece = Buffer.alloc(65536, 'x')
module.exports = (req, res) => {
  if (req.url === '/reset') return void res.end(JSON.stringify(reset))
  if (req.url !== '/') res.on('close', () => { if (!res.writableFinished) reset.push(Date.now()) })
  if (req.url === '/buffer') return void res.end(big)
  if (req.url === '/stream') {
    res.setHeader('Content-Length', ${SIZE})
    let left = ${SIZE}
    const feed = () => {
      while (left > 0) {
        const next = Math.min(left, piece.length)
        left -= next
        if (!res.write(Buffer.from(piece.subarray(0, next)))) return void res.once('drain', feed)
      }
      res.end()
    }
    return feed()
  }
  if (req.method === 'POST') { let n = 0; req.on('data', (c) => { n += c.length }); req.on('end', () => res.end(String(n))); return }
  res.end('ok')
}`

interface Kind {
  readonly name: string
  readonly count: number
  /** When it must have been closed, after its beginning. */
  readonly deadlineMs: number
  begin(port: number, ended: () => void): void
}

const drip = (first: string, byte: string) => (port: number, ended: () => void) => {
  const socket = connect(port, '127.0.0.1', () => socket.write(first))
  const timer = setInterval(() => socket.write(byte), 1_000)
  socket.resume()
  socket.on('error', () => {})
  socket.on('end', () => socket.destroy())
  socket.on('close', () => {
    clearInterval(timer)
    ended()
  })
}

const readers = new Set<Socket>()

/** Its end is the application's to tell: a client that does not read does not hear of a reset. */
const reader = (path: string) => (port: number) => {
  const socket = connect({ port, host: '127.0.0.1' }, () => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  })
  readers.add(socket)
  const timer = setInterval(() => socket.read(100), 1_000)
  socket.on('error', () => {})
  socket.on('close', () => clearInterval(timer))
}

for (const style of process.argv[2] === undefined ? ['stream', 'buffer'] : [process.argv[2]]) {
  const kinds: Kind[] = [
    { name: 'slow heads', count: 500, deadlineMs: 30_000, begin: drip('GET / HTTP/1.1\r\n', 'x') },
    {
      name: 'slow bodies',
      count: 200,
      deadlineMs: 20_000,
      begin: drip('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n', 'x'),
    },
    // What the kernels on both sides have room for buys the time of `write_timeout`.
    { name: 'slow readers', count: 200, deadlineMs: 60_000, begin: reader(`/${style}`) },
  ]
  await measure(style, kinds)
}

async function measure(style: string, kinds: readonly Kind[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-slow-'))
  writeFileSync(join(directory, 'app.js'), APP)
  const program = await startCommand(directory, ['app.js', '--workers', '1'])
  try {
    const { port } = program
    const [worker = 0] = childrenOf(program.pid)
    for (let count = 0; count < 300; count += 1) await ordinary(port)
    const before = residentBytes(worker)
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, residentBytes(worker))
    }, 250)
    const ends = kinds.map(() => [] as number[])
    const start = Date.now()
    for (const [index, kind] of kinds.entries()) {
      for (let count = 0; count < kind.count; count += 1) {
        kind.begin(port, () => ends[index]?.push(Date.now() - start))
      }
    }
    const times: number[] = []
    let failed = 0
    const asked: Promise<void>[] = []
    const one = async () => {
      try {
        times.push(await ordinary(port))
      } catch {
        failed += 1
      }
    }
    while (Date.now() - start < RUN_MS) {
      asked.push(one())
      await new Promise((resolve) => setTimeout(resolve, ORDINARY_EVERY_MS))
    }
    await Promise.all(asked)
    const reset = JSON.parse(await textOf(port, '/reset')) as number[]
    ends[kinds.length - 1] = reset.map((at) => at - start)
    clearInterval(watch)
    times.sort((a, b) => a - b)
    const worst = times.at(-1) ?? 0
    const grown = (peak - before) / MB
    const rows = kinds.map(({ name, count, deadlineMs }, index) => {
      const seconds = (ends[index] ?? []).map((ms) => ms / 1_000)
      const [first = 0, last = 0] = [Math.min(...seconds), Math.max(...seconds)]
      const held = seconds.length === count && last * 1_000 <= deadlineMs + SLACK_MS
      return [
        `${name} closed`,
        `${seconds.length} of ${count}, ${first.toFixed(1)}-${last.toFixed(1)} s`,
        held,
      ] as const
    })
    console.log(`\n${style}`)
    for (const [what, figure, held] of [
      ['ordinary requests', `${times.length} answered, ${failed} not`, failed === 0] as const,
      [
        'worst of them',
        `${worst} ms (p99 ${times[Math.floor(times.length * 0.99)]} ms)`,
        worst <= 250,
      ] as const,
      ...rows,
      ['memory grew by', `${grown.toFixed(1)} MiB at most`, grown <= 64] as const,
    ]) {
      console.log(`  ${what.padEnd(22)}${figure.padEnd(40)}${held ? 'holds' : 'DOES NOT HOLD'}`)
    }
  } finally {
    // They would read for hours what the kernel holds for them.
    for (const socket of readers) socket.destroy()
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

/** Milliseconds until the answer is there. */
async function ordinary(port: number): Promise<number> {
  const start = Date.now()
  await textOf(port, '/')
  return Date.now() - start
}

function textOf(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, path, host: '127.0.0.1', agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}
