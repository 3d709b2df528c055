// The clients of the soak: kept and new connections, slow handlers, uploads, downloads, WebSockets. Every answer is
// checked to its last byte.

import http from 'node:http'
import net from 'node:net'

import { endOf, openSocket, startSockets } from './soak-sockets.ts'

const MB = 1_048_576
const SOCKETS = 8
const UPLOAD = Buffer.alloc(MB, 'u')

interface Client {
  readonly count: number
  readonly path: string
  readonly kept: boolean
  readonly upload?: true
  /** What the body of the answer must be, or how long. */
  readonly body: string | number
  readonly pauseMs: number
}

const CLIENTS: readonly Client[] = [
  { count: 40, path: '/fast', kept: true, body: 'ok', pauseMs: 20 },
  { count: 24, path: '/slow', kept: true, body: 'slow', pauseMs: 10 },
  { count: 8, path: '/fast', kept: false, body: 'ok', pauseMs: 20 },
  { count: 4, path: '/slow', kept: false, body: 'slow', pauseMs: 10 },
  { count: 3, path: '/upload', kept: true, upload: true, body: String(MB), pauseMs: 50 },
  { count: 2, path: '/download', kept: true, body: 10 * MB, pauseMs: 50 },
  { count: 1, path: '/download', kept: false, body: 10 * MB, pauseMs: 100 },
]

export interface LoadResult {
  readonly answered: number
  /** Why, one for each request that was not answered whole. */
  readonly lost: readonly string[]
  /** How many WebSockets were opened, and how many of them were ended by 1012. */
  readonly opened: number
  readonly restarted: number
}

export interface MixedLoad {
  /** May be called again. */
  stop(): Promise<LoadResult>
  /**
   * Begins one of each kind, 16 of two seconds, 4 WebSockets, and 8 connections that were answered once and are idle; the
   * result waits for their ends and tells what failed.
   */
  launch(port: number): Promise<() => Promise<string[]>>
}

/** `onLost` hears at once why a request was not answered whole. */
export function startMixedLoad(port: number, onLost: (why: string) => void): MixedLoad {
  const lost: string[] = []
  let answered = 0
  let running = true
  const sockets = startSockets(port, SOCKETS)
  const loops = CLIENTS.flatMap((client) =>
    Array.from({ length: client.count }, () => loop(client)),
  )

  async function loop(client: Client): Promise<void> {
    const agent = client.kept ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false
    while (running) {
      const problem = await ask(port, client, agent)
      if (problem === undefined) answered += 1
      else {
        lost.push(problem)
        onLost(problem)
      }
      await new Promise((done) => setTimeout(done, client.pauseMs))
    }
    if (agent) agent.destroy()
  }

  return {
    async stop() {
      running = false
      const { opened, restarted, lost: ended } = await sockets.stop()
      await Promise.all(loops)
      return { answered, opened, restarted, lost: [...lost, ...ended] }
    },
    async launch(at) {
      const slow = { count: 16, path: '/slower', kept: false, body: 'slower', pauseMs: 0 }
      const inFlight = [...CLIENTS, ...Array.from({ length: 16 }, () => slow)].map((client) =>
        ask(at, client, false),
      )
      const idle = await Promise.all(Array.from({ length: 8 }, () => openIdle(at)))
      const open = await Promise.all([1, 2, 3, 4].map(() => openSocket(at)))
      const ends = open.map(async (socket) => {
        const code = await endOf(socket)
        return code === 1012 ? undefined : `websocket: ended by ${code}`
      })
      // Long enough to be in a handler, shorter than the slow ones take.
      await new Promise((done) => setTimeout(done, 300))
      return async () =>
        (await Promise.all([...inFlight, ...ends, ...idle.map((one) => one.closed)])).filter(
          (problem) => problem !== undefined,
        )
    },
  }
}

/** A kept connection that was answered once; `closed` tells how it ended unless that was in order. */
function openIdle(port: number): Promise<{ closed: Promise<string | undefined> }> {
  return new Promise((opened, fail) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('error', fail)
    const closed = new Promise<string | undefined>((done) => {
      socket.on('end', () => done(undefined))
      socket.on('error', (error) => done(`idle connection: ${error.message}`))
    })
    socket.write('GET /fast HTTP/1.1\r\nHost: soak\r\n\r\n')
    socket.once('data', () => {
      socket.removeListener('error', fail)
      opened({ closed })
    })
  })
}

/** Asks on a kept connection, lets the server begin to stop, asks on the same connection again. */
export async function takesALateRequest(port: number, stop: () => void): Promise<string> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const client = { count: 1, path: '/fast', kept: true, body: 'ok', pauseMs: 0 }
  await ask(port, client, agent)
  stop()
  await new Promise((done) => setTimeout(done, 500))
  const problem = await ask(port, client, agent)
  agent.destroy()
  return problem ?? 'answered'
}

function ask(port: number, client: Client, agent: http.Agent | false): Promise<string | undefined> {
  const { path, upload, body } = client
  return new Promise((done) => {
    const account = new Account()
    const fail = (what: string) => done(`${path}: ${what}; ${account.told(request)}`)
    const headers = upload ? { 'content-length': UPLOAD.length } : {}
    const options = {
      host: '127.0.0.1',
      port,
      path,
      agent,
      headers,
      method: upload ? 'POST' : 'GET',
    }
    const request = http.request(options, (response) => {
      let [text, length] = ['', 0]
      account.head(response)
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        account.bytes(chunk.length)
        if (typeof body === 'string') text += chunk.toString()
      })
      response.on('end', () => {
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`)
        if (!response.complete) return fail('truncated')
        const whole = typeof body === 'string' ? text === body : length === body
        return whole ? done(undefined) : fail(`another body, ${length} bytes`)
      })
      response.on('error', (error) => fail(`in the answer: ${named(error)}`))
    })
    request.on('error', (error) => fail(named(error)))
    request.end(upload ? UPLOAD : undefined)
  })
}

function named(error: NodeJS.ErrnoException): string {
  return error.code === undefined ? error.message : `${error.code} ${error.message}`
}

/** What is known of a request, for the case that it is lost. */
class Account {
  readonly #begun = performance.now()
  #worker = 'nobody'
  #length = 0
  #headAt: number | undefined
  #last = this.#begun

  head(response: http.IncomingMessage): void {
    this.#worker = `worker ${response.headers['x-worker']}, connection: ${response.headers.connection}`
    this.#headAt = this.#last = performance.now()
  }

  bytes(count: number): void {
    this.#length += count
    this.#last = performance.now()
  }

  told(request: http.ClientRequest): string {
    const since = (at: number) => `${Math.round(performance.now() - at)} ms`
    const socket = request.socket
    return [
      `at ${new Date().toISOString()}`,
      `begun ${since(this.#begun)} ago on a ${request.reusedSocket ? 'kept' : 'new'} connection`,
      `from port ${socket?.localPort ?? '?'} (${socket?.bytesWritten ?? 0} bytes written)`,
      this.#headAt === undefined
        ? 'no head'
        : `head by ${this.#worker} ${since(this.#headAt)} ago, ${this.#length} bytes of the body, the last ${since(this.#last)} ago`,
    ].join(', ')
  }
}
