// The configurations of docs/load-balancers.md, unchanged but for ports, in the programs that they
// are for: what the application sees of a client, a WebSocket, and a reload under load.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { load } from 'js-yaml'
import { WebSocket } from 'ws'

import { native } from '../../ts/native/index.ts'
import { shellWords } from '../../ts/settings/shell-words.ts'
import { get, type Program, someoneListens, startProgram, until } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { temporaryDirectory } from '../temporary.ts'
import { sectionsOf } from './sections.ts'

const PAGE = readFileSync(new URL('../../docs/load-balancers.md', import.meta.url), 'utf8')
const CLIENTS = 4

/** Responds with what the application sees of a client; echoes the messages of a WebSocket. */
const APP = `
const { WebSocketServer } = require(${JSON.stringify(createRequire(import.meta.url).resolve('ws'))})
const server = require('node:http').createServer((req, res) => {
  const { remoteAddress, encrypted = false } = req.socket
  res.end(JSON.stringify({ remoteAddress, encrypted, host: req.headers.host, url: req.url }))
})
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('message', (data) => socket.send(String(data)))
})
server.listen(1)
`

interface Proxy {
  readonly program: string
  /** Name of the block on the page. */
  readonly file: string
  readonly args: (file: string, directory: string) => readonly string[]
  /** What the program needs around the block of the page. */
  readonly wrap?: (file: string, directory: string) => void
}

const PROXIES: readonly Proxy[] = [
  {
    program: '/usr/sbin/nginx',
    file: 'web.conf',
    args: (_file, directory) => ['-p', directory, '-c', 'nginx.conf', '-g', 'daemon off;'],
    wrap(file, directory) {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path ${directory}/${name};`)
        .join(' ')
      const user = process.getuid?.() === 0 ? 'user root;' : ''
      writeFileSync(
        join(directory, 'nginx.conf'),
        `${user} worker_processes 1; pid ${directory}/nginx.pid; error_log stderr; events {}
        http { access_log off; ${temporary} include ${file}; }`,
      )
    },
  },
  { program: '/usr/sbin/haproxy', file: 'haproxy.cfg', args: (file) => ['-db', '-f', file] },
  {
    program: '/usr/bin/caddy',
    file: 'Caddyfile',
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
    // Its own administration has a fixed port.
    wrap: (file) => writeFileSync(file, `{\n\tadmin off\n}\n${readFileSync(file, 'utf8')}`),
  },
]

for (const proxy of PROXIES) {
  const declare = needs(`${proxy.program} and the addon`, canRun(proxy.program))
  declare(`${proxy.file} serves without losing a request during a reload`, async (t) => {
    const server = await startServer(t)
    const port = await startProxy(t, proxy, server.port)
    await until(async () => (await statusOf(port)) === 200, `an answer through ${proxy.program}`)

    const forged = {
      'X-Forwarded-For': '192.0.2.9',
      'X-Forwarded-Host': 'forged.example',
      'X-Forwarded-Proto': 'https',
      SCRIPT_NAME: '/forged',
    }
    const { body } = await get({
      port,
      path: '/forged/page',
      // Not in forwarded_allow_ips, as a client of the internet.
      localAddress: '127.0.0.2',
      headers: { Host: 'shop.example', ...forged },
    })
    t.deepEqual(JSON.parse(body), {
      remoteAddress: '127.0.0.2',
      encrypted: false,
      host: 'shop.example',
      url: '/forged/page',
    })

    t.is(await echoOf(port, 'hello'), 'hello')

    const load = startLoad(port)
    server.signal('SIGHUP')
    await server.line(/Reload complete/)
    const statuses = await load.stop()
    t.deepEqual([...new Set(statuses)], [200])
    t.true(statuses.length > CLIENTS)
  })
}

function canRun(program: string): boolean {
  return native !== null && existsSync(program)
}

test('the page has a block for each program, and its YAML can be parsed', (t) => {
  const blocks = [...PAGE.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
  t.deepEqual(
    blocks.map(([, language]) => language),
    ['yaml', 'yaml', 'nginx', 'haproxy', 'caddy'],
  )
  for (const [, language, text = ''] of blocks) if (language === 'yaml') t.truthy(load(text))
})

function startServer(t: ExecutionContext): Promise<Program> {
  const [command = ''] =
    sectionsOf('load-balancers.md').find(({ title }) => title === 'Start the server')?.commands ??
    []
  const words = shellWords(command.replace(':8000', ':0').replace('-w 4', '-w 2')).slice(1)
  // HAProxy checks the health of the server.
  const args = [...words, '--health-paths', '/livez,/readyz', '--log-level', 'debug']
  return startProgram(t, { files: { 'app.js': APP }, args }).ready(2)
}

/** Starts a program with its block of the page; returns the port of its own. */
async function startProxy(t: ExecutionContext, proxy: Proxy, server: number): Promise<number> {
  const directory = temporaryDirectory('proxy')
  const port = await freePort()
  const file = join(directory, proxy.file)
  const block = new RegExp(`\`${proxy.file}\`:\\n\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(
    PAGE,
  )?.[1]
  writeFileSync(
    file,
    (block ?? '')
      .replace('127.0.0.1:8000', `127.0.0.1:${server}`)
      .replace(/listen 80;|bind :80\b|^:80\b/m, (address) => address.replace('80', `${port}`)),
  )
  proxy.wrap?.(file, directory)
  const child: ChildProcess = spawn(proxy.program, proxy.args(file, directory), {
    cwd: directory,
    env: { ...process.env, HOME: directory },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk
  })
  const exited = new Promise((done) => child.once('exit', done))
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exited
    if (!t.passed) t.log(log)
  })
  await someoneListens({ port })
  return port
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

async function statusOf(port: number, agent?: http.Agent): Promise<number> {
  return (await get({ port, agent: agent ?? false })).status
}

function echoOf(port: number, text: string): Promise<string> {
  return new Promise((done, fail) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
    socket.on('error', fail)
    socket.on('open', () => socket.send(text))
    socket.on('message', (data) => {
      done(String(data))
      socket.close()
    })
  })
}

/** Clients that send one request after the other over a kept connection, until they are stopped. */
function startLoad(port: number) {
  let isStopped = false
  const statuses: (number | string)[] = []
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS })
  const client = async () => {
    while (!isStopped) statuses.push(await statusOf(port, agent).catch(String))
  }
  const clients = Array.from({ length: CLIENTS }, client)
  return {
    async stop() {
      isStopped = true
      await Promise.all(clients)
      agent.destroy()
      return statuses
    },
  }
}
