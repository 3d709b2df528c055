// Tests TLS and HTTP/2 of the real command under load, with clients in other processes.
// Usage: `npm run build && npx tsx scripts/secure.ts [proof...]`.
//
//   resumption   95 % of returning clients resume their TLS session on any of 4 workers
//   handshakes   20,000 handshakes, 4,000 of them open at a time, half of them stalled: other
//                clients get a response within 250 ms, and stalled handshakes end at their deadline
//   renewal      the certificate changes on disk and by HUP: clients see it, no request is lost
//   reload       HUP three times and TERM during HTTP/2 streams: no stream is lost
//
// Linux only; needs 5,000 descriptors, and openssl to create certificates.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { run, runBin, type StartedCommand, startCommand } from './command.ts'
import type { Crowd } from './secure-crowd.ts'

const APP = `module.exports = (req, res) =>
  setTimeout(() => res.end(String(process.pid)), Math.random() * 20)`
const MAX_RESPONSE_MS = 250
const HANDSHAKES = 20_000
const MAX_OPEN = 4_000
const keepAliveAgent = new https.Agent({
  keepAlive: true,
  maxSockets: 1,
  rejectUnauthorized: false,
})

interface Proof {
  /** Number of workers of the command. */
  readonly workers: number
  readonly settings?: readonly string[]
  /** Runs the test; the result is its figures and whether they are within the limits. */
  measure(program: StartedCommand, directory: string): Promise<readonly [string, boolean]>
}

const PROOFS: Readonly<Record<string, Proof>> = {
  resumption: { workers: 4, measure: resumption },
  handshakes: {
    workers: 1,
    settings: ['--limit-handshakes', `${MAX_OPEN}`],
    measure: handshakes,
  },
  renewal: { workers: 2, measure: renewal },
  reload: { workers: 2, measure: reload },
}

const names = process.argv.slice(2)
for (const name of names.length > 0 ? names : Object.keys(PROOFS)) {
  const proof = PROOFS[name]
  if (proof === undefined)
    throw new Error(`unknown proof ${name}; use ${Object.keys(PROOFS).join(', ')}`)
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-secure-'))
  writeFileSync(join(directory, 'app.js'), APP)
  await makeCertificate(directory)
  const tlsArgs = ['--certfile', 'cert.pem', '--keyfile', 'key.pem', '--graceful-timeout', '20']
  const args = ['app.js', '-w', `${proof.workers}`, ...tlsArgs, ...(proof.settings ?? [])]
  const program = await startCommand(directory, args)
  try {
    const [figures, holds] = await proof.measure(program, directory)
    console.log(`${name.padEnd(12)}${figures}: ${holds ? 'holds' : 'DOES NOT HOLD'}`)
  } finally {
    await program.stop()
    rmSync(directory, { recursive: true })
  }
}

async function makeCertificate(directory: string): Promise<void> {
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', '/CN=localhost', '-days', '90']
  await run('openssl', ['req', '-x509', ...kind, ...subject, ...files], { show: false })
}

/** What a client learns from one request on a new connection. */
interface Visit {
  /** Process id of the worker that responded. */
  readonly pid: string
  /** Whether the connection resumed a TLS session. */
  readonly reused: boolean
  readonly fingerprint: string
  readonly session: Buffer | undefined
}

/** Sends one HTTP/1.1 request on a new connection. */
function visit(port: number, session?: Buffer): Promise<Visit> {
  return new Promise((resolve, reject) => {
    let fresh: Buffer | undefined
    const request = https.get(
      {
        ...{ port, host: '127.0.0.1', agent: false, rejectUnauthorized: false },
        ...(session === undefined ? {} : { session }),
      },
      (response) => {
        const socket = response.socket as tls.TLSSocket
        const { fingerprint256: fingerprint } = socket.getPeerCertificate()
        const reused = socket.isSessionReused()
        let pid = ''
        response.on('data', (chunk: Buffer) => {
          pid += chunk
        })
        response.on('end', () => resolve({ pid, reused, fingerprint, session: fresh }))
      },
    )
    request.on('socket', (socket) => {
      socket.on('session', (one: Buffer) => {
        fresh = one
      })
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no response')))
    request.on('error', reject)
  })
}

async function resumption({ port }: StartedCommand): Promise<readonly [string, boolean]> {
  const pids = new Set<string>()
  let reused = 0
  let reconnects = 0
  const client = async () => {
    let { session } = await visit(port)
    for (let time = 0; time < 50; time += 1) {
      const visited = await visit(port, session)
      reconnects += 1
      if (visited.reused) reused += 1
      pids.add(visited.pid)
      session = visited.session ?? session
    }
  }
  await Promise.all(Array.from({ length: 16 }, client))
  const share = (reused / reconnects) * 100
  const text = `${share.toFixed(1)} % of ${reconnects} reconnects, ${pids.size} workers responded`
  return [text, share >= 95 && pids.size === 4]
}

async function handshakes({ port }: StartedCommand): Promise<readonly [string, boolean]> {
  const half = HANDSHAKES / 2
  let stop = false
  // An established connection must stay served during the handshakes.
  await requestOnKeepAlive(port)
  const times: number[] = []
  let lost = 0
  const ordinary = (async () => {
    while (!stop) {
      const begun = performance.now()
      await requestOnKeepAlive(port).then(
        () => times.push(performance.now() - begun),
        () => {
          lost += 1
        },
      )
      await sleep(100)
    }
  })()
  const [stalled, complete] = await Promise.all([
    runCrowd('stalled', port),
    runCrowd('complete', port),
  ])
  stop = true
  await ordinary
  const slowest = Math.max(...times)
  const maxOpen = stalled.maxOpen + complete.maxOpen
  const [first, last] = stalled.closedMs
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  const text =
    `${complete.done} completed, ${complete.failed} failed, ${stalled.done} stalled and closed ` +
    `after ${seconds(first)} to ${seconds(last)} s, ${maxOpen} open at the same time; ` +
    `${times.length} other requests, ${lost} lost, the slowest ${slowest.toFixed(0)} ms`
  const isClosedInTime = stalled.done === half && first > 9_000 && last < 12_000
  const holds = complete.done === half && isClosedInTime && maxOpen === MAX_OPEN
  return [text, holds && lost === 0 && slowest <= MAX_RESPONSE_MS]
}

/** Runs scripts/secure-crowd.ts with half of the handshakes. */
async function runCrowd(kind: 'stalled' | 'complete', port: number): Promise<Crowd> {
  const program = fileURLToPath(new URL('secure-crowd.ts', import.meta.url))
  const args = [program, kind, `${port}`, `${HANDSHAKES / 2}`, `${MAX_OPEN / 2}`]
  const { output } = await runBin('tsx', args, { show: false })
  return JSON.parse(output)
}

/** Sends one request on the keep-alive connection. */
function requestOnKeepAlive(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = https.get({ port, host: '127.0.0.1', agent: keepAliveAgent }, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no response')))
    request.on('error', reject)
  })
}

async function renewal(
  program: StartedCommand,
  directory: string,
): Promise<readonly [string, boolean]> {
  const { port, pid } = program
  const fingerprints = new Set<string>()
  let served = 0
  let lost = 0
  let stop = false
  const client = async () => {
    while (!stop) {
      try {
        fingerprints.add((await visit(port)).fingerprint)
        served += 1
      } catch {
        lost += 1
      }
    }
  }
  const clients = Array.from({ length: 8 }, client)
  for (let round = 0; round < 6; round += 1) {
    await sleep(2_000)
    await makeCertificate(directory)
    if (round % 2 === 1) process.kill(pid, 'SIGHUP')
  }
  await sleep(3_000)
  const { fingerprint } = await visit(port)
  stop = true
  await Promise.all(clients)
  const { output } = await run(
    'openssl',
    ['x509', '-in', join(directory, 'cert.pem'), '-noout', '-fingerprint', '-sha256'],
    { show: false },
  )
  const isNewest = output.includes(fingerprint)
  const newest = isNewest ? 'the newest' : 'an OLD one'
  const text =
    `${served} served, ${lost} lost, ${fingerprints.size} certificates, ` + `${newest} at the end`
  return [text, lost === 0 && isNewest && fingerprints.size >= 6]
}

async function reload(program: StartedCommand): Promise<readonly [string, boolean]> {
  const { port, pid } = program
  const pids = new Set<string>()
  let served = 0
  let lost = 0
  let refused = 0
  let stop = false
  const client = async () => {
    while (!stop) {
      const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      let isClosing = false
      session.on('goaway', () => {
        isClosing = true
      })
      let isOpen = false
      session.on('connect', () => {
        isOpen = true
      })
      session.on('error', () => {
        isClosing = true
      })
      const stream = async () => {
        while (!stop && !isClosing && !session.closed && !session.destroyed) {
          const end = await requestStream(session)
          if (end === 'refused') refused += 1
          else if (end !== 'lost') {
            served += 1
            pids.add(end)
          } else if (isOpen) lost += 1
        }
      }
      await Promise.all(Array.from({ length: 20 }, stream))
      session.close()
      await sleep(5)
    }
  }
  const clients = Array.from({ length: 8 }, client)
  for (let round = 0; round < 3; round += 1) {
    await sleep(3_000)
    process.kill(pid, 'SIGHUP')
  }
  await sleep(4_000)
  process.kill(pid, 'SIGTERM')
  await sleep(500)
  stop = true
  await Promise.all(clients)
  const text =
    `${served} streams served by ${pids.size} workers, ${refused} refused (safe to retry), ` +
    `${lost} lost`
  // Each generation has two workers, and one of them may get none of the eight clients.
  return [text, lost === 0 && pids.size >= 4]
}

/**
 * Requests one stream. The result is the body, `refused` if the server did not process the stream
 * (REFUSED_STREAM, RFC 9113 section 8.7), or `lost`.
 */
function requestStream(session: http2.ClientHttp2Session): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    let stream: http2.ClientHttp2Stream
    try {
      stream = session.request({ ':path': '/' })
    } catch {
      // The session closed meanwhile, so nothing was sent.
      return resolve('refused')
    }
    stream.on('data', (chunk: Buffer) => {
      text += chunk
    })
    stream.on('error', () => {})
    stream.on('close', () => {
      if (text !== '' && stream.rstCode === 0) resolve(text)
      else resolve(stream.rstCode === 7 || !stream.sentHeaders ? 'refused' : 'lost')
    })
  })
}
