// `npm run build && npx tsx scripts/descriptors.ts`: the command under a limit of 64 descriptors with 500 clients that are
// idle, send half a head, or do not read. It must start, not spin, say nothing more than once a second, and recover.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childrenOf, processorTimeUs } from '../bench/processors.ts'
import { startCommand } from './command.ts'

const LIMIT = 64
const CLIENTS = 500
const SPAN_MS = 10_000
/** A new client each: whoever is closed is followed by another. */
const CHURN_MS = 20

const APP = `
const big = Buffer.alloc(20 * 1048576, 'x')
module.exports = (req, res) => res.end(req.url === '/big' ? big : 'ok')`

const FIRST_WORDS = [
  '',
  'GET / HTTP/1.1\r\nHost: x\r\n',
  'GET /big HTTP/1.1\r\nHost: x\r\n\r\n',
] as const

const directory = mkdtempSync(join(tmpdir(), 'monoceros-descriptors-'))
writeFileSync(join(directory, 'app.js'), APP)
const wrap = ['sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh']
const program = await startCommand(directory, ['app.js', '--workers', '1'], { wrap })
const { port } = program
try {
  const [worker = 0] = childrenOf(program.pid)
  console.log(`started under a limit of ${LIMIT}: ${await answer()}`)
  const clients: Socket[] = []
  for (let index = 0; index < CLIENTS; index += 1) clients.push(client(index))
  await sleep(1_000)
  const logged = program.log().length
  const [used, started] = [processorTimeUs(worker), Date.now()]
  const churn = setInterval(() => clients.push(client(clients.length)), CHURN_MS)
  await sleep(SPAN_MS)
  clearInterval(churn)
  const share = (processorTimeUs(worker) - used) / 10 / (Date.now() - started)
  console.log(
    `processor of the worker under ${clients.length} clients: ${share.toFixed(1)} % (bar 20)`,
  )
  const lines = program.log().slice(logged).split('\n').filter(Boolean)
  const kinds = new Map<string, number>()
  for (const line of lines) {
    const text = line.replace(/^\[[^\]]*\] \[\d+\] /, '').replace(/\d+/g, 'N')
    kinds.set(text, (kinds.get(text) ?? 0) + 1)
  }
  console.log(`logged in ${SPAN_MS / 1_000} s: ${lines.length} lines`)
  for (const [text, count] of kinds) console.log(`  ${count} x ${text}`)
  for (const socket of clients) socket.destroy()
  const answers = []
  for (let time = 0; time < 20; time += 1) answers.push(await answer())
  console.log(
    `afterwards ${answers.filter((text) => text === 'answers').length} of 20 are answered`,
  )
} finally {
  await program.stop()
  rmSync(directory, { recursive: true })
}

function client(index: number): Socket {
  const socket = connect(port, '127.0.0.1', () => socket.write(FIRST_WORDS[index % 3] ?? ''))
  socket.on('error', () => {})
  socket.pause()
  return socket
}

function answer(): Promise<string> {
  return new Promise((resolve) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200 ? 'answers' : 'refuses'))
    })
    request.setTimeout(5_000, () => request.destroy(new Error('no answer')))
    request.on('error', (error) => resolve(error.message))
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
