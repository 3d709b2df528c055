// Connects slow clients to one worker of the real command while ordinary clients send requests.
// All ordinary requests must be served, the slowest within 250 ms. Every slow client must be
// closed at its deadline, and the worker must grow by at most 64 MiB. Linux only; takes a minute
// and a half. Usage: `npm run build && npx tsx scripts/slow.ts [stream|buffer]`.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childrenOf, residentBytes } from '../bench/processors.ts'
import { startCommand } from './command.ts'

const MIB = 1_048_576
const RESPONSE_BYTES = 20 * MIB
const RUN_MS = 75_000
const ORDINARY_EVERY_MS = 100
/**
 * Tolerance for a deadline: kernel buffers take the last bytes late, and the server checks slow
 * readers every two seconds.
 */
const TOLERANCE_MS = 6_000

const APP = `
const big = Buffer.alloc(${RESPONSE_BYTES}, 'x')
const reset = []
const piece = Buffer.alloc(65536, 'x')
module.exports = (req, res) => {
  if (req.url === '/reset') return void res.end(JSON.stringify(reset))
  if (req.url !== '/') res.on('close', () => { if (!res.writableFinished) reset.push(Date.now()) })
  if (req.url === '/buffer') return void res.end(big)
  if (req.url === '/stream') {
    res.setHeader('Content-Length', ${RESPONSE_BYTES})
    let left = ${RESPONSE_BYTES}
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
  if (req.method === 'POST') {
    let length = 0
    req.on('data', (chunk) => { length += chunk.length })
    req.on('end', () => res.end(String(length)))
    return
  }
  res.end('ok')
}`

interface SlowClientKind {
  readonly name: string
  readonly count: number
  /** Time from the start until the server must have closed the client, in milliseconds. */
  readonly deadlineMs: number
  begin(port: number, onClose: () => void): void
}

/** A client that sends `first` and then one byte a second. */
const sendSlowly = (first: string, byte: string) => (port: number, onClose: () => void) => {
  const socket = connect(port, '127.0.0.1', () => socket.write(first))
  const timer = setInterval(() => socket.write(byte), 1_000)
  socket.resume()
  socket.on('error', () => {})
  socket.on('end', () => socket.destroy())
  socket.on('close', () => {
    clearInterval(timer)
    onClose()
  })
}

const readers = new Set<Socket>()

/**
 * A client that reads 100 bytes a second. The application records when the connection closes,
 * because a client that does not read does not notice a reset.
 */
const readSlowly = (path: string) => (port: number) => {
  const socket = connect({ port, host: '127.0.0.1' }, () => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  })
  readers.add(socket)
  const timer = setInterval(() => socket.read(100), 1_000)
  socket.on('error', () => {})
  socket.on('close', () => clearInterval(timer))
}

for (const style of process.argv[2] === undefined ? ['stream', 'buffer'] : [process.argv[2]]) {
  const kinds: SlowClientKind[] = [
    {
      name: 'slow heads',
      count: 500,
      deadlineMs: 30_000,
      begin: sendSlowly('GET / HTTP/1.1\r\n', 'x'),
    },
    {
      name: 'slow bodies',
      count: 200,
      deadlineMs: 20_000,
      begin: sendSlowly('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n', 'x'),
    },
    // The kernel buffers take bytes at the start, which gives the client one `write_timeout`.
    { name: 'slow readers', count: 200, deadlineMs: 60_000, begin: readSlowly(`/${style}`) },
  ]
  await measure(style, kinds)
}

async function measure(style: string, kinds: readonly SlowClientKind[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-slow-'))
  writeFileSync(join(directory, 'app.js'), APP)
  const program = await startCommand(directory, ['app.js', '--workers', '1'])
  try {
    const { port } = program
    const [worker = 0] = childrenOf(program.pid)
    for (let count = 0; count < 300; count += 1) await ordinaryRequest(port)
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
    const requests: Promise<void>[] = []
    const one = async () => {
      try {
        times.push(await ordinaryRequest(port))
      } catch {
        failed += 1
      }
    }
    while (Date.now() - start < RUN_MS) {
      requests.push(one())
      await new Promise((resolve) => setTimeout(resolve, ORDINARY_EVERY_MS))
    }
    await Promise.all(requests)
    const reset = JSON.parse(await textOf(port, '/reset')) as number[]
    ends[kinds.length - 1] = reset.map((at) => at - start)
    clearInterval(watch)
    times.sort((a, b) => a - b)
    const slowest = times.at(-1) ?? 0
    const growthMib = (peak - before) / MIB
    const rows = kinds.map(({ name, count, deadlineMs }, index) => {
      const seconds = (ends[index] ?? []).map((ms) => ms / 1_000)
      const [first = 0, last = 0] = [Math.min(...seconds), Math.max(...seconds)]
      const isMet = seconds.length === count && last * 1_000 <= deadlineMs + TOLERANCE_MS
      return [
        `${name} closed`,
        `${seconds.length} of ${count}, ${first.toFixed(1)}-${last.toFixed(1)} s`,
        isMet,
      ] as const
    })
    console.log(`\n${style}`)
    for (const [what, figure, isMet] of [
      ['ordinary requests', `${times.length} served, ${failed} failed`, failed === 0] as const,
      [
        'slowest of them',
        `${slowest} ms (p99 ${times[Math.floor(times.length * 0.99)]} ms)`,
        slowest <= 250,
      ] as const,
      ...rows,
      ['memory grew by', `${growthMib.toFixed(1)} MiB at most`, growthMib <= 64] as const,
    ]) {
      console.log(`  ${what.padEnd(22)}${figure.padEnd(40)}${isMet ? 'holds' : 'DOES NOT HOLD'}`)
    }
  } finally {
    // The readers would take hours to read the kernel buffers.
    for (const socket of readers) socket.destroy()
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

/** Sends an ordinary request; the result is its time in milliseconds. */
async function ordinaryRequest(port: number): Promise<number> {
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
    request.setTimeout(10_000, () => request.destroy(new Error('no response')))
    request.on('error', reject)
  })
}
