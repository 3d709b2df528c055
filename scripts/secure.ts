// `npm run build && npx tsx scripts/secure.ts [proof...]`: TLS and HTTP/2 of the real command under load, from outside.
//
//   resumption   clients that come back are known to whichever of 4 workers they meet (95 %)
//   handshakes   20,000 in all, 4,000 open at once, half of them stalled: others within 250 ms, those cut at their deadline
//   renewal      a certificate is replaced on disk, and by HUP: the new one is shown, and no request is lost
//   reload       three HUP and a TERM while streams of HTTP/2 come and go: none is lost
//
// Linux only; needs 5,000 descriptors, and openssl to make certificates.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { run, runBin, type StartedCommand, startCommand } from './command.ts'
import type { Crowd } from './secure-crowd.ts'

const APP = `module.exports = (req, res) => setTimeout(() => res.end(String(process.pid)), Math.random() * 20)`
const MOST_MS = 250
const HANDSHAKES = 20_000
const OPEN = 4_000
const kept = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })

interface Proof {
  readonly workers: number
  readonly settings?: readonly string[]
  measure(program: StartedCommand, directory: string): Promise<readonly [string, boolean]>
}

const PROOFS: Readonly<Record<string, Proof>> = {
  resumption: { workers: 4, measure: resumption },
  handshakes: {
    workers: 1,
    settings: ['--limit-handshakes', `${OPEN}`],
    measure: handshakes,
  },
  renewal: { workers: 2, measure: renewal },
  reload: { workers: 2, measure: reload },
}

const names = process.argv.slice(2)
for (const name of names.length > 0 ? names : Object.keys(PROOFS)) {
  const proof = PROOFS[name]
  if (proof === undefined) throw new Error(`there is ${Object.keys(PROOFS).join(', ')}`)
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-secure-'))
  writeFileSync(join(directory, 'app.js'), APP)
  await makeCertificate(directory)
  const shown = ['--certfile', 'cert.pem', '--keyfile', 'key.pem', '--graceful-timeout', '20']
  const args = ['app.js', '-w', `${proof.workers}`, ...shown, ...(proof.settings ?? [])]
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

interface Met {
  readonly pid: string
  readonly reused: boolean
  readonly fingerprint: string
  readonly session: Buffer | undefined
}

/** One request of HTTP/1.1 on a connection of its own. */
function meet(port: number, session?: Buffer): Promise<Met> {
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
        response.on('data', (piece: Buffer) => {
          pid += piece
        })
        response.on('end', () => resolve({ pid, reused, fingerprint, session: fresh }))
      },
    )
    request.on('socket', (socket) => {
      socket.on('session', (one: Buffer) => {
        fresh = one
      })
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}

async function resumption({ port }: StartedCommand): Promise<readonly [string, boolean]> {
  const pids = new Set<string>()
  let reused = 0
  let asked = 0
  const client = async () => {
    let { session } = await meet(port)
    for (let time = 0; time < 50; time += 1) {
      const met = await meet(port, session)
      asked += 1
      if (met.reused) reused += 1
      pids.add(met.pid)
      session = met.session ?? session
    }
  }
  await Promise.all(Array.from({ length: 16 }, client))
  const share = (reused / asked) * 100
  const text = `${share.toFixed(1)} % of ${asked} reconnects, ${pids.size} workers met`
  return [text, share >= 95 && pids.size === 4]
}

async function handshakes({ port }: StartedCommand): Promise<readonly [string, boolean]> {
  const half = HANDSHAKES / 2
  let stop = false
  // Whoever is served already goes on.
  await askOnKept(port)
  const times: number[] = []
  let unanswered = 0
  const ordinary = (async () => {
    while (!stop) {
      const begun = performance.now()
      await askOnKept(port).then(
        () => times.push(performance.now() - begun),
        () => {
          unanswered += 1
        },
      )
      await sleep(100)
    }
  })()
  const [stalled, whole] = await Promise.all([crowd('stalled', port), crowd('whole', port)])
  stop = true
  await ordinary
  const worst = Math.max(...times)
  const [first, last] = stalled.cutMs
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  const text =
    `${whole.done} done, ${whole.failed} failed, ${stalled.done} stalled and cut after ${seconds(first)} to ` +
    `${seconds(last)} s, ${stalled.most + whole.most} open at once; ${times.length} requests beside them, ` +
    `${unanswered} without an answer, the worst ${worst.toFixed(0)} ms`
  const isCut = stalled.done === half && first > 9_000 && last < 12_000
  const holds = whole.done === half && isCut && stalled.most + whole.most === OPEN
  return [text, holds && unanswered === 0 && worst <= MOST_MS]
}

async function crowd(kind: 'stalled' | 'whole', port: number): Promise<Crowd> {
  const program = fileURLToPath(new URL('secure-crowd.ts', import.meta.url))
  const args = [program, kind, `${port}`, `${HANDSHAKES / 2}`, `${OPEN / 2}`]
  const { output } = await runBin('tsx', args, { show: false })
  return JSON.parse(output)
}

function askOnKept(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = https.get({ port, host: '127.0.0.1', agent: kept }, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}

async function renewal(
  program: StartedCommand,
  directory: string,
): Promise<readonly [string, boolean]> {
  const { port, pid } = program
  const shown = new Set<string>()
  let answered = 0
  let lost = 0
  let stop = false
  const client = async () => {
    while (!stop) {
      try {
        shown.add((await meet(port)).fingerprint)
        answered += 1
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
  const { fingerprint } = await meet(port)
  stop = true
  await Promise.all(clients)
  const { output } = await run(
    'openssl',
    ['x509', '-in', join(directory, 'cert.pem'), '-noout', '-fingerprint', '-sha256'],
    { show: false },
  )
  const isNewest = output.includes(fingerprint)
  const text = `${answered} answered, ${lost} lost, ${shown.size} certificates shown, ${isNewest ? 'the newest' : 'an OLD one'} at the end`
  return [text, lost === 0 && isNewest && shown.size >= 6]
}

async function reload(program: StartedCommand): Promise<readonly [string, boolean]> {
  const { port, pid } = program
  const seen = new Set<string>()
  let answered = 0
  let lost = 0
  let again = 0
  let stop = false
  const client = async () => {
    while (!stop) {
      const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      let leaves = false
      session.on('goaway', () => {
        leaves = true
      })
      let isOpen = false
      session.on('connect', () => {
        isOpen = true
      })
      session.on('error', () => {
        leaves = true
      })
      const stream = async () => {
        while (!stop && !leaves && !session.closed && !session.destroyed) {
          const end = await askStream(session)
          if (end === 'refused') again += 1
          else if (end !== 'lost') {
            answered += 1
            seen.add(end)
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
  const text = `${answered} streams answered by ${seen.size} workers, ${again} refused to be sent again, ${lost} lost`
  // Two workers each time; with eight clients one of the two may have nobody.
  return [text, lost === 0 && seen.size >= 4]
}

/** The answer, or what became of it. */
function askStream(session: http2.ClientHttp2Session): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    let stream: http2.ClientHttp2Stream
    try {
      stream = session.request({ ':path': '/' })
    } catch {
      // The session has ended meanwhile: nothing was sent.
      return resolve('refused')
    }
    stream.on('data', (piece: Buffer) => {
      text += piece
    })
    stream.on('error', () => {})
    stream.on('close', () => {
      if (text !== '' && stream.rstCode === 0) resolve(text)
      else resolve(stream.rstCode === 7 || !stream.sentHeaders ? 'refused' : 'lost')
    })
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
