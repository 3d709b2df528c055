// Starts the command with a limit of 64 file descriptors and connects 500 clients that are idle,
// send half a head, or do not read. The command must start, must not spin, must log at most one
// line a second, and must recover. Usage: `npm run build && npx tsx scripts/descriptors.ts`.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, processorTimeUs } from '../bench/processors.ts'
import { startCommand } from './command.ts'

/** Limit of file descriptors for each process (`ulimit -n`). */
const DESCRIPTOR_LIMIT = 64
const CLIENTS = 500
/** Duration of the measurement, in milliseconds. */
const MEASURE_MS = 10_000
/** Interval between new clients, which replace the closed ones, in milliseconds. */
const RECONNECT_MS = 20

const APP = `
const big = Buffer.alloc(20 * 1048576, 'x')
module.exports = (req, res) => res.end(req.url === '/big' ? big : 'ok')`

/** What clients send first, in turns: nothing, half a head, a request for 20 MiB. */
const CLIENT_BYTES = [
  '',
  'GET / HTTP/1.1\r\nHost: x\r\n',
  'GET /big HTTP/1.1\r\nHost: x\r\n\r\n',
] as const

const directory = mkdtempSync(join(tmpdir(), 'monoceros-descriptors-'))
writeFileSync(join(directory, 'app.js'), APP)
const wrap = ['sh', '-c', `ulimit -n ${DESCRIPTOR_LIMIT}; exec "$@"`, 'sh']
const program = await startCommand(directory, ['app.js', '--workers', '1'], { wrap })
const { port } = program
try {
  const [worker = 0] = childrenOf(program.pid)
  console.log(`started under a limit of ${DESCRIPTOR_LIMIT}: ${await request()}`)
  const clients: Socket[] = []
  for (let index = 0; index < CLIENTS; index += 1) clients.push(openClient(index))
  await sleep(1_000)
  const logged = program.log().length
  const [used, started] = [processorTimeUs(worker), Date.now()]
  const churn = setInterval(() => clients.push(openClient(clients.length)), RECONNECT_MS)
  await sleep(MEASURE_MS)
  clearInterval(churn)
  const share = (processorTimeUs(worker) - used) / 10 / (Date.now() - started)
  console.log(
    `processor time of the worker with ${clients.length} clients: ${share.toFixed(1)} % (limit 20)`,
  )
  const lines = program.log().slice(logged).split('\n').filter(Boolean)
  const kinds = new Map<string, number>()
  for (const line of lines) {
    const text = line.replace(/^\[[^\]]*\] \[\d+\] /, '').replace(/\d+/g, 'N')
    kinds.set(text, (kinds.get(text) ?? 0) + 1)
  }
  console.log(`logged in ${MEASURE_MS / 1_000} s: ${lines.length} lines`)
  for (const [text, count] of kinds) console.log(`  ${count} x ${text}`)
  for (const socket of clients) socket.destroy()
  const replies = []
  for (let time = 0; time < 20; time += 1) replies.push(await request())
  console.log(
    `afterwards ${replies.filter((text) => text === 'served').length} of 20 requests are served`,
  )
} finally {
  await program.stop()
  rmSync(directory, { recursive: true })
}

function openClient(index: number): Socket {
  const socket = connect(port, '127.0.0.1', () => socket.write(CLIENT_BYTES[index % 3] ?? ''))
  socket.on('error', () => {})
  socket.pause()
  return socket
}

/** Sends an ordinary request: `served`, `refused`, or the message of its error. */
function request(): Promise<string> {
  return new Promise((resolve) => {
    const sent = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200 ? 'served' : 'refused'))
    })
    sent.setTimeout(5_000, () => sent.destroy(new Error('no response')))
    sent.on('error', (error) => resolve(error.message))
  })
}
