// Runs the attacks of slowhttptest (a Debian package) against one worker with default settings.
// Each attack opens a thousand connections while an ordinary client sends ten requests a second.
// Usage: `npm run build && npx tsx scripts/slowhttptest.ts [attack]`, by hand.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { get, Program, serveArgs } from '../__test__/process/program.ts'
import { run } from './command.ts'

const APP = `const page = 'x'.repeat(300_000)
module.exports = (req, res) => {
  if (req.url === '/large') return res.end(page)
  req.resume().on('end', () => res.end('ok'))
}`

/** Duration of an attack, longer than every default timeout. */
const ATTACK_SECONDS = 100
const CONNECTIONS = 1_000
const REQUEST_INTERVAL_MS = 100

const COMMON_ARGS = [
  '-c',
  String(CONNECTIONS),
  '-r',
  '200',
  '-l',
  String(ATTACK_SECONDS),
  '-p',
  '3',
]

const ATTACKS: Readonly<Record<string, (url: string) => readonly string[]>> = {
  slowloris: (url) => ['-H', '-i', '1', '-x', '24', '-u', `${url}/`],
  'slow body': (url) => ['-B', '-i', '1', '-s', '8192', '-x', '10', '-u', `${url}/`],
  // Each connection requests more than kernel buffers hold, and reads 32 bytes every 5 seconds.
  'slow read': (url) => [
    '-X',
    '-k',
    '10',
    '-w',
    '512',
    '-y',
    '1024',
    '-n',
    '5',
    '-z',
    '32',
    '-u',
    `${url}/large`,
  ],
}

const [only] = process.argv.slice(2)
const directory = mkdtempSync(join(tmpdir(), 'monoceros-slow-'))
writeFileSync(join(directory, 'app.cjs'), APP)
console.log(`${availableParallelism()} processors, node ${process.version}`)
for (const [name, args] of Object.entries(ATTACKS)) {
  if (only === undefined || only === name) await attack(name, args)
}
rmSync(directory, { recursive: true, force: true })

/**
 * Counts the connections to a port that a process still owns, from /proc/net/tcp. The count of
 * clients is no substitute: a client that reads slowly notices a reset late.
 */
function openConnections(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  return lines.filter((line) => line.slice(0, 21).includes(local) && / 0[18] /.test(line)).length
}

async function attack(name: string, args: (url: string) => readonly string[]): Promise<void> {
  const program = await new Program(directory, { args: serveArgs('native') }).ready(1)
  const times: number[] = []
  let failed = 0
  let refused = 0
  const requestTimer = setInterval(() => {
    const began = performance.now()
    get({ port: program.port }).then(
      ({ status }) => {
        times.push(performance.now() - began)
        if (status !== 200) refused += 1
      },
      () => {
        failed += 1
      },
    )
  }, REQUEST_INTERVAL_MS)
  let maxOpen = 0
  const countTimer = setInterval(() => {
    maxOpen = Math.max(maxOpen, openConnections(program.port))
  }, 1_000)
  const url = `http://127.0.0.1:${program.port}`
  const { output } = await run('slowhttptest', [...COMMON_ARGS, ...args(url)], { show: false })
  clearInterval(requestTimer)
  clearInterval(countTimer)
  const openAtEnd = openConnections(program.port)
  program.signal('SIGTERM')
  await program.exited
  times.sort((a, b) => a - b)
  const at = (share: number) =>
    (times[Math.floor((times.length - 1) * share)] ?? Number.NaN).toFixed(1)
  console.log(
    `${name}: ${times.length} ordinary requests, ${refused} of them refused, ${failed} failed; ` +
      `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, slowest ${at(1)} ms`,
  )
  console.log(`  connections on the server's side: ${maxOpen} at most, ${openAtEnd} at the end`)
  // slowhttptest prints its state repeatedly; the last one is the result.
  const plain = stripVTControlCharacters(output)
  const unavailable = plain.match(/service available:\s+NO/g)?.length ?? 0
  const last = plain.slice(plain.lastIndexOf('slow HTTP test status'))
  console.log(
    `  service available: ${unavailable === 0 ? 'YES, always' : `NO, ${unavailable} times`}`,
  )
  for (const line of last
    .split('\n')
    .filter((text) =>
      /^(initializ|pending|connected|error|closed|service|Exit|Test)/.test(text.trim()),
    )) {
    console.log(`  ${line.trim()}`)
  }
}
