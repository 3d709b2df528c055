// Session affinity, from outside: which worker answers, and that nothing of a connection is lost on
// its way to that worker.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { io, type Socket } from 'socket.io-client'
import { needs } from '../requirements.ts'
import { Certificates } from '../tls/certificates.ts'
import { ENGINES, get, type Program, serveArgs, startProgram, until } from './program.ts'

const WORKERS = 3
/** A new secret selects the owners at each start. Fewer keys would sometimes leave out a worker. */
const KEYS = 48

/** Shows its process, the client that it sees and the body; `/login` creates a session. */
const APP = `
  const sessions = new Set()
  module.exports = async (req, res) => {
    let body = ''
    for await (const part of req) body += part
    const { remotePort, remoteAddress } = req.socket
    const [, id] = req.url.match(/login.*id=(\\w+)/) ?? []
    if (id) sessions.add(id)
    if (req.url.startsWith('/login/cookie')) res.setHeader('Set-Cookie', 'session=' + id)
    if (req.url.startsWith('/login/location')) {
      return res.writeHead(303, { Location: '/room?sid=' + id }).end()
    }
    if (req.url.startsWith('/login/json')) return res.end('0{"a":1,"sid":"' + id + '"}')
    const key = req.headers.cookie?.split('=')[1] ?? req.url.split('sid=')[1]
    res.end(JSON.stringify({
      pid: process.pid,
      knows: sessions.has(key),
      body,
      remotePort,
      remoteAddress,
      url: req.url,
    }))
  }`

interface Reply {
  readonly pid: number
  readonly knows: boolean
  readonly body: string
  readonly remotePort: number
  readonly remoteAddress: string
  readonly url: string
}

// Only the addon can pass a connection to another process, and only Linux has the sockets for it.
const canMove = process.platform === 'linux' && ENGINES.some((engine) => engine === 'native')
const native = needs('the addon, and Linux', canMove, test)

async function start(t: ExecutionContext, ...args: string[]): Promise<Program> {
  const all = serveArgs('native', '-w', String(WORKERS), ...args)
  return await startProgram(t, { files: { 'app.cjs': APP }, args: all }).ready(WORKERS)
}

async function ask(program: Program, options: http.RequestOptions = {}): Promise<Reply> {
  return JSON.parse((await get({ port: program.port, ...options })).body)
}

const cookie = (value: string | number) => ({ headers: { cookie: `session=${value}` } })

/** Returns a key for each worker, by its process. */
async function keysByWorker(program: Program): Promise<Map<number, number>> {
  const keys = new Map<number, number>()
  for (let key = 0; keys.size < WORKERS; key += 1) {
    keys.set((await ask(program, cookie(key))).pid, key)
  }
  return keys
}

native('requests with the same cookie reach the same worker', async (t) => {
  const program = await start(t, '--affinity', 'cookie:session')
  const owners = new Map<number, Set<number>>()
  for (let round = 0; round < 3; round += 1) {
    const replies = Array.from({ length: KEYS }, (_, key) => ask(program, cookie(key)))
    for (const [key, { pid }] of (await Promise.all(replies)).entries()) {
      owners.set(key, (owners.get(key) ?? new Set()).add(pid))
    }
  }
  t.true([...owners.values()].every((pids) => pids.size === 1))
  t.is(new Set([...owners.values()].flatMap((pids) => [...pids])).size, WORKERS)
})

native('a session belongs to the worker that has created it', async (t) => {
  const byCookie = await start(t, '--affinity', 'cookie:session')
  const byQuery = await start(t, '--affinity', 'query:sid')
  for (let id = 0; id < 20; id += 1) {
    await byCookie.get(`/login/cookie?id=${id}`)
    t.true((await ask(byCookie, cookie(id))).knows)
    const kind = id % 2 === 0 ? 'json' : 'location'
    await byQuery.get(`/login/${kind}?id=${id}`)
    t.true((await ask(byQuery, { path: `/?sid=${id}` })).knows, kind)
  }
})

native('a connection moves between two requests, and nothing of it is lost', async (t) => {
  const program = await start(t, '--affinity', 'cookie:session', '--access-logfile', '-')
  const keys = await keysByWorker(program)
  const head = (key: number, more = '') => `Host: x\r\nCookie: session=${key}\r\n${more}\r\n`
  const messages: [pid: number, body: string, text: string][] = []
  for (let round = 0; round < 4; round += 1) {
    for (const [pid, key] of keys) {
      messages.push(
        [pid, '', `GET /get HTTP/1.1\r\n${head(key)}`],
        [pid, 'hello', `POST /length HTTP/1.1\r\n${head(key, 'Content-Length: 5\r\n')}hello`],
        [
          pid,
          'wiki',
          `POST /chunks HTTP/1.1\r\n${head(key, 'Transfer-Encoding: chunked\r\n')}` +
            '2\r\nwi\r\n2\r\nki\r\n0\r\n\r\n',
        ],
      )
    }
  }
  const all = messages.map(([, , text]) => text).join('')
  // All at once; then in pieces that end in the middle of heads and bodies.
  for (const size of [all.length, 97]) {
    const socket = net.connect(program.port, '127.0.0.1')
    const { replies, write } = readReplies(socket)
    for (let at = 0; at < all.length; at += size) await write(all.slice(at, at + size))
    await until(() => replies().length === messages.length, 'all replies')
    for (const [index, [pid, body]] of messages.entries()) {
      t.like(replies()[index], { pid, body, remotePort: socket.localPort })
    }
    socket.destroy()
  }
})

/** Reads the JSON bodies of responses, and writes in pieces that the server reads apart. */
function readReplies(socket: net.Socket) {
  let text = ''
  socket.setNoDelay().setEncoding('latin1')
  socket.on('data', (part: string) => {
    text += part
  })
  return {
    text: () => text,
    replies: (): Reply[] => (text.match(/\{.*?\}/g) ?? []).map((body) => JSON.parse(body)),
    write: async (part: string) => {
      socket.write(part, 'latin1')
      await new Promise(setImmediate)
    },
  }
}

native(
  'a client that waits for 100 (Continue) gets it from the worker of its session',
  async (t) => {
    const program = await start(t, '--affinity', 'cookie:session')
    for (const [pid, key] of await keysByWorker(program)) {
      const socket = net.connect(program.port, '127.0.0.1')
      const { text, replies, write } = readReplies(socket)
      const fields = `Host: x\r\nCookie: session=${key}\r\nContent-Length: 4\r\n`
      await write(`POST / HTTP/1.1\r\n${fields}Expect: 100-continue\r\n\r\n`)
      await until(() => text().includes('100 Continue\r\n\r\n'), '100 (Continue)')
      await write('body')
      t.like(await until(() => replies()[0], 'the reply'), { pid, body: 'body' })
      socket.destroy()
    }
  },
)

native('each request is logged once, and each connection counted once', async (t) => {
  const program = await start(t, '--affinity', 'cookie:session', '--access-logfile', 'access.log')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const ports = new Set<number>()
  for (let key = 0; key < 30; key += 1) {
    const options = { ...cookie(key), agent, path: `/request-${key}-` }
    ports.add((await ask(program, options)).remotePort)
  }
  t.is(ports.size, 1)
  const readLog = () => readFileSync(join(program.directory, 'access.log'), 'utf8')
  const lines = () => Array.from({ length: 30 }, (_, key) => readLog().split(`/request-${key}-`))
  // Each worker writes its lines at its own time.
  await until(() => lines().every((parts) => parts.length > 1), 'the lines of all requests')
  t.true(lines().every((parts) => parts.length === 2))
})

native('the requests of an address reach the same worker, also over TLS', async (t) => {
  const certificates = new Certificates(t).selfSigned('one')
  const args = [
    ...['app.cjs', '--engine', 'native', '-w', String(WORKERS), '--affinity', 'ip'],
    ...['-b', 'http://127.0.0.1:0', '-b', 'https://127.0.0.1:0', '--log-level', 'debug'],
    ...['--certfile', 'one.pem', '--keyfile', 'one.key', '--forwarded-allow-ips', '127.0.0.200'],
  ]
  const files = { ...certificates.files(), 'app.cjs': APP }
  const program = await startProgram(t, { files, args }).ready(WORKERS)
  const [, securePort] = /https:\/\/127\.0\.0\.1:(\d+)/.exec(program.log) ?? []
  const owners = new Set<number>()
  for (let host = 2; host < 2 + KEYS; host += 1) {
    const pids = new Set<number>()
    for (let count = 0; count < 2; count += 1) {
      const localAddress = `127.0.0.${host}`
      pids.add((await ask(program, { localAddress })).pid)
      const secure = await askSecurely({ port: Number(securePort), localAddress })
      t.is(secure.remoteAddress, localAddress)
      pids.add(secure.pid)
    }
    t.is(pids.size, 1)
    owners.add([...pids][0] ?? 0)
  }
  t.is(owners.size, WORKERS)
})

function askSecurely(options: https.RequestOptions): Promise<Reply> {
  return new Promise((done, fail) => {
    const whole = { host: '127.0.0.1', agent: false, rejectUnauthorized: false, ...options }
    const request = https.get(whole, (response) => {
      response.setEncoding('utf8').on('data', (body: string) => done(JSON.parse(body)))
    })
    request.on('error', fail)
  })
}

native('the address is the one that a trusted proxy has forwarded', async (t) => {
  const program = await start(t, '--affinity', 'ip', '--forwarded-headers', 'x-forwarded')
  const owners = new Map<string, Set<number>>()
  for (let count = 0; count < 2 * KEYS; count += 1) {
    const client = `203.0.113.${count % KEYS}`
    const { pid, remoteAddress } = await ask(program, { headers: { 'x-forwarded-for': client } })
    t.is(remoteAddress, client)
    owners.set(client, (owners.get(client) ?? new Set()).add(pid))
  }
  t.true([...owners.values()].every((pids) => pids.size === 1))
  t.is(new Set([...owners.values()].flatMap((pids) => [...pids])).size, WORKERS)
})

native('no request is lost while workers with sessions are replaced', async (t) => {
  const program = await start(t, '--affinity', 'cookie:session')
  const before = new Set((await keysByWorker(program)).keys())
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  t.teardown(() => agent.destroy())
  let isOver = false
  let served = 0
  const load = Array.from({ length: 8 }, async (_, client) => {
    for (let count = 0; !isOver; count += 1) {
      const { status } = await get({ port: program.port, ...cookie((count % 40) + client), agent })
      t.is(status, 200)
      served += 1
    }
  })
  for (let count = 0; count < 2; count += 1) {
    const seen = served
    await until(() => served > seen + 100, 'load')
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
  }
  isOver = true
  await Promise.all(load)
  const after = await keysByWorker(program)
  t.true([...after.keys()].every((pid) => !before.has(pid)))
  for (const [pid, key] of after) t.is((await ask(program, cookie(key))).pid, pid)
})

native(
  'the sessions of a killed worker move to others, and those of the others stay',
  async (t) => {
    const program = await start(t, '--affinity', 'cookie:session')
    const [[victim, lost] = [0, 0], ...others] = [...(await keysByWorker(program))]
    process.kill(victim, 'SIGKILL')
    // A request that the worker has begun fails with it.
    const moved = await until(() => ask(program, cookie(lost)).catch(() => undefined), 'an answer')
    t.not(moved.pid, victim)
    for (const [pid, key] of others) t.is((await ask(program, cookie(key))).pid, pid)
  },
)

native('a stopped worker with a full inbox makes its requests fail with 503', async (t) => {
  const program = await start(t, '--affinity', 'cookie:session', '--timeout', '0')
  const [[victim, key] = [0, 0]] = [...(await keysByWorker(program))]
  process.kill(victim, 'SIGSTOP')
  t.teardown(() => {
    process.kill(victim, 'SIGCONT')
  })
  const large = { cookie: `session=${key}`, padding: 'x'.repeat(15_000) }
  const agent = new http.Agent()
  t.teardown(() => agent.destroy())
  const statuses: (number | undefined)[] = []
  let isOver = false
  const load = Array.from({ length: 20 }, async () => {
    while (!isOver) {
      const answer = await Promise.race([
        get({ port: program.port, headers: large, agent }).catch(() => undefined),
        new Promise<undefined>((done) => setTimeout(() => done(undefined), 100)),
      ])
      statuses.push(answer?.status)
    }
  })
  await until(() => statuses.includes(503), 'a refusal')
  isOver = true
  await Promise.all(load)
  t.deepEqual([...new Set(statuses)].sort(), [503, undefined])
})

const CHAT = `
  const server = require('http').createServer()
  const chat = new (require('socket.io').Server)(server)
  chat.on('connection', (socket) => {
    socket.on('ask', (text, reply) => reply(text + ' ' + process.pid))
  })
  server.listen(3000)`

native('Socket.IO works with its default transports, and reconnects after a reload', async (t) => {
  const files = { 'app.cjs': CHAT }
  const env = { NODE_PATH: fileURLToPath(new URL('../../node_modules', import.meta.url)) }
  const args = serveArgs('native', '-w', String(WORKERS), '--affinity', 'query:sid')
  const program = await startProgram(t, { files, args, env }).ready(WORKERS)
  const errors: string[] = []
  const clients = Array.from({ length: KEYS }, () => connectChat(t, program.port, errors))
  await until(() => clients.every(({ connected }) => connected), 'all clients')
  // A client whose WebSocket closes during the upgrade is silent until its ping timeout.
  const isUpgraded = ({ io: { engine } }: Socket) => engine.transport?.name === 'websocket'
  await until(() => clients.every(isUpgraded), 'all upgrades')
  t.deepEqual(errors, [])
  const first = await Promise.all(clients.map((client) => askChat(client, 'hello')))
  t.is(new Set(first).size, WORKERS)
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
  const second = await until(async () => {
    const words = await Promise.all(clients.map((client) => askChat(client, 'again')))
    return words.every((word) => word.startsWith('again ')) ? words : undefined
  }, 'all clients again')
  const pids = new Set(first.map((word) => word.split(' ')[1]))
  t.true(second.every((word) => !pids.has(word.split(' ')[1])))
})

function connectChat(t: ExecutionContext, port: number, errors: string[]): Socket {
  const client = io(`http://127.0.0.1:${port}`, {
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
  })
  t.teardown(() => client.disconnect())
  return client.on('connect_error', ({ message }) => errors.push(message))
}

async function askChat(client: Socket, text: string): Promise<string> {
  return await client
    .timeout(1_000)
    .emitWithAck('ask', text)
    .catch(() => '')
}

test('the engine over node:http has no affinity, and warns', async (t) => {
  const args = serveArgs('node', '-w', '1', '--affinity', 'ip')
  const program = await startProgram(t, { files: { 'app.cjs': APP }, args }).ready(1)
  t.regex(program.log, /WARNING.*does not support affinity/)
  t.is((await program.get()).status, 200)
})

test('a setting that is no key is refused with the allowed ones', async (t) => {
  const args = serveArgs('node', '--affinity', 'header:x')
  const program = startProgram(t, { files: { 'app.cjs': APP }, args })
  await program.line(/affinity must be "off", "ip", "cookie:NAME" or "query:NAME", got "header:x"/)
  t.not(await program.exited, 0)
})
