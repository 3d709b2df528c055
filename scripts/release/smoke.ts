// Tests the packages of a release as a user gets them: installed from the tarballs into an empty
// project of a machine without cargo, served by two workers, with 10,000 requests, a reload and a
// stop. stage.ts bundles it, so that it needs only Node and npm:
// `node smoke.mjs FOLDER [--platform NAME] [--node PATH] [--requests N]`.
// `--node` is the program that serves. It may be a wrapper around an emulator; then `--platform` is
// the platform that it emulates.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'

/** Of localhost; stage.ts makes both for each bundle. */
declare const CERTIFICATE: string
declare const PRIVATE_KEY: string

const execute = promisify(execFile)

interface Options {
  /** Folder of the tarballs. */
  readonly folder: string
  readonly platform: string
  readonly node: string
  readonly requests: number
}

interface Server {
  readonly process: ChildProcess
  readonly origin: string
  log(): string
}

const WORKERS = 2
const CONNECTIONS = 8
/** Time limits, long enough for a processor that is emulated. */
const INSTALL_LIMIT_MS = 300_000
const START_LIMIT_MS = 120_000
const ANSWER_LIMIT_MS = 60_000
const RELOAD_LIMIT_MS = 180_000
const STOP_LIMIT_MS = 60_000
const POLL_MS = 100

/** Answers with the process that served the request, so that a reload can be observed. */
const APPLICATION = `module.exports = (request, response) => {
  response.setHeader('x-pid', process.pid)
  response.end('packed ' + request.url)
}
`
/**
 * Loaded first where the program is a wrapper. Workers must start by it too, not by the wrapped
 * file. The loader of the addon finds musl by a file of the system, which is that of the machine.
 */
const PRELOAD = `const fs = require('node:fs')
const { readFileSync } = fs
process.execPath = process.env.SMOKE_NODE
fs.readFileSync = (path, ...rest) =>
  path === '/usr/bin/ldd' ? process.env.SMOKE_LIBC : readFileSync(path, ...rest)
`

async function testPackages(options: Options): Promise<void> {
  const project = mkdtempSync(join(tmpdir(), 'monoceros-smoke-'))
  try {
    await install(project, options)
    await serveAndReload(project, options)
    await serveTls(project, options)
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
}

async function install(project: string, { folder, platform }: Options): Promise<void> {
  const tarballs = readdirSync(folder).filter((file) => file.endsWith('.tgz'))
  const isMain = (file: string) => !/-(?:linux|darwin)-[\w-]+-\d/.test(file)
  const chosen = tarballs.filter((file) => isMain(file) || file.includes(`-${platform}-`))
  if (chosen.length !== 2) {
    throw new Error(`${folder} has ${chosen.length} packages for ${platform}, expected 2`)
  }
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  writeFileSync(join(project, 'app.js'), APPLICATION)
  writeFileSync(join(project, 'preload.cjs'), PRELOAD)
  writeFileSync(join(project, 'certificate.pem'), CERTIFICATE)
  writeFileSync(join(project, 'key.pem'), PRIVATE_KEY)
  const [os = '', cpu = '', libc = ''] = platform.split('-')
  // npm checks the platform of what it is given by name against its own.
  const isForeign = platform !== ownPlatform()
  const foreign = ['--force', `--os=${os}`, `--cpu=${cpu}`, ...libcOption(libc)]
  const target = isForeign ? foreign : []
  const files = chosen.map((file) => join(folder, file))
  await execute('npm', ['install', '--no-audit', '--no-fund', ...target, ...files], {
    cwd: project,
    env: userEnvironment(),
    timeout: INSTALL_LIMIT_MS,
  })
}

function libcOption(libc: string): string[] {
  return libc === '' ? [] : [`--libc=${libc === 'gnu' ? 'glibc' : libc}`]
}

/** The environment of a user: no cargo, and nothing that npm has set for its own scripts. */
function userEnvironment(): NodeJS.ProcessEnv {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !existsSync(join(folder, 'cargo')) && !folder.includes('node_modules'))
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|NODE_|CARGO|RUST|MONOCEROS_)/.test(name),
  )
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) }
}

async function start(
  project: string,
  { node, platform }: Options,
  args: readonly string[],
): Promise<Server> {
  const scope = readdirSync(join(project, 'node_modules', '.bin'))
  if (!scope.includes('monoceros')) throw new Error('the package has no command monoceros')
  const command = realpathSync(join(project, 'node_modules', '.bin', 'monoceros'))
  const isWrapped = readFileSync(node).subarray(0, 2).toString() === '#!'
  const env = userEnvironment()
  if (isWrapped) {
    env.SMOKE_NODE = node
    env.SMOKE_LIBC = platform.split('-')[2] ?? ''
    env.NODE_OPTIONS = `--require ${join(project, 'preload.cjs')}`
  }
  // In an emulator, a worker starts too slowly for the default limits.
  const limits = isWrapped ? ['--timeout', '120'] : []
  const child = spawn(node, [command, 'app.js', '-b', '127.0.0.1:0', ...limits, ...args], {
    cwd: project,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const read = (chunk: Buffer) => {
    output += chunk
  }
  child.stdout.on('data', read)
  child.stderr.on('data', read)
  const log = () => output
  const origin = () => /Listening at: (https?:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1]
  await until('it listens', START_LIMIT_MS, { child, log }, async () => origin() !== undefined)
  if (!/Using engine: native\b/.test(output)) {
    child.kill('SIGKILL')
    throw new Error(`the native engine is not in use:\n${output}`)
  }
  return { process: child, origin: origin() ?? '', log }
}

async function until(
  what: string,
  limitMs: number,
  { child, log }: { child: ChildProcess; log: () => string },
  isDone: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + limitMs
  for (;;) {
    if (await isDone()) return
    const hasExited = child.exitCode !== null || child.signalCode !== null
    if (!hasExited && Date.now() < deadline) {
      await delay(POLL_MS)
      continue
    }
    child.kill('SIGKILL')
    const reason = hasExited ? 'the command exited' : `${limitMs / 1_000} s have passed`
    throw new Error(`${reason} before ${what}:\n${log()}`)
  }
}

/** Sends all requests, with a reload after a third of them. None may fail. */
async function serveAndReload(project: string, options: Options): Promise<void> {
  const { requests } = options
  const server = await start(project, options, ['-w', String(WORKERS)])
  const { process: child, log } = server
  const watched = { child, log }
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const ask = async (index: number, from: http.Agent | false = agent) => {
    const answer = await request(http, `${server.origin}/${index}`, { agent: from })
    if (answer.status !== 200 || answer.text !== `packed /${index}`) {
      child.kill('SIGKILL')
      throw new Error(`request ${index}: ${answer.status} ${answer.text}\n${log()}`)
    }
    return answer.pid
  }
  const before = new Set<string>()
  await until('all workers answer', START_LIMIT_MS, watched, async () => {
    for (const pid of await seenOnNewConnections(ask)) before.add(pid)
    return before.size >= WORKERS
  })

  const started = Date.now()
  let sent = 0
  let hasReloaded = false
  // The clients do not pause before the reload is complete.
  const client = async () => {
    while (sent < requests || !hasReloaded) {
      sent += 1
      await ask(sent)
    }
  }
  const reload = async () => {
    await until('a third of the requests', RELOAD_LIMIT_MS, watched, async () => {
      return sent > requests / 3
    })
    child.kill('SIGHUP')
    await until('the reload is complete', RELOAD_LIMIT_MS, watched, async () => {
      const after = await seenOnNewConnections(ask)
      return after.size >= WORKERS && [...after].every((pid) => !before.has(pid))
    })
    hasReloaded = true
  }
  await Promise.all([reload(), ...Array.from({ length: CONNECTIONS }, client)])
  const seconds = (Date.now() - started) / 1_000
  agent.destroy()
  await stop(server)
  console.log(`${sent} requests in ${seconds.toFixed(1)} s, a reload among them: all answered`)
}

/** The workers that answer; for each connection the balancer chooses one. */
async function seenOnNewConnections(
  ask: (index: number, from: false) => Promise<string>,
): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: 12 }, () => ask(0, false))))
}

/** One answer over TLS shows that the cryptography runs on this processor. */
async function serveTls(project: string, options: Options): Promise<void> {
  const files = ['--certfile', 'certificate.pem', '--keyfile', 'key.pem']
  const server = await start(project, options, ['-w', '1', ...files])
  const trust = { ca: CERTIFICATE, servername: 'localhost' }
  const answer = await request(https, `${server.origin}/tls`, trust)
  if (answer.text !== 'packed /tls') throw new Error(`over TLS: ${answer.text}\n${server.log()}`)
  await stop(server)
  console.log('a request over TLS: answered')
}

interface Answer {
  readonly status: number | undefined
  readonly text: string
  readonly pid: string
}

function request(
  client: typeof http | typeof https,
  url: string,
  options: https.RequestOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = client.get(url, { timeout: ANSWER_LIMIT_MS, ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode, text, pid: String(response.headers['x-pid']) }),
      )
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer to ${url}`)))
    asked.on('error', reject)
  })
}

async function stop({ process: child, log }: Server): Promise<void> {
  child.kill('SIGTERM')
  const deadline = Date.now() + STOP_LIMIT_MS
  while (child.exitCode === null && child.signalCode === null) {
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`TERM did not stop it within ${STOP_LIMIT_MS / 1_000} s:\n${log()}`)
    }
    await delay(POLL_MS)
  }
  if (child.exitCode !== 0) throw new Error(`TERM: exit status ${child.exitCode}\n${log()}`)
}

/** The platform of this machine, as the packages are named. */
function ownPlatform(): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const isGlibc = report.header?.glibcVersionRuntime !== undefined
  const libc = process.platform === 'linux' ? (isGlibc ? '-gnu' : '-musl') : ''
  return `${process.platform}-${process.arch}${libc}`
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    platform: { type: 'string' },
    node: { type: 'string' },
    requests: { type: 'string' },
  },
})
const options: Options = {
  folder: resolve(positionals[0] ?? '.'),
  platform: values.platform ?? ownPlatform(),
  node: resolve(values.node ?? process.execPath),
  requests: Number(values.requests ?? 10_000),
}
console.log(`${options.platform}, ${options.node}`)
await testPackages(options)
console.log('ok')
