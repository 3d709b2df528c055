// The clients of the soak test: keep-alive and new connections, slow handlers, uploads, downloads,
// and WebSockets. Each client checks every response completely.

import http from 'node:http'
import net from 'node:net'

import { closeCodeOf, openSocket, startSockets } from './soak-sockets.ts'

const MIB = 1_048_576
const SOCKETS = 8
const UPLOAD = Buffer.alloc(MIB, 'u')

interface Client {
  /** Number of concurrent clients of this kind. */
  readonly count: number
  readonly path: string
  /** Whether requests share a connection; otherwise each opens a new one. */
  readonly keepAlive: boolean
  /** Whether the request uploads 1 MiB. */
  readonly upload?: true
  /** Expected body of the response, or its expected length in bytes. */
  readonly body: string | number
  /** Pause between two requests, in milliseconds. */
  readonly pauseMs: number
}

const CLIENTS: readonly Client[] = [
  { count: 40, path: '/fast', keepAlive: true, body: 'ok', pauseMs: 20 },
  { count: 24, path: '/slow', keepAlive: true, body: 'slow', pauseMs: 10 },
  { count: 8, path: '/fast', keepAlive: false, body: 'ok', pauseMs: 20 },
  { count: 4, path: '/slow', keepAlive: false, body: 'slow', pauseMs: 10 },
  { count: 3, path: '/upload', keepAlive: true, upload: true, body: String(MIB), pauseMs: 50 },
  { count: 2, path: '/download', keepAlive: true, body: 10 * MIB, pauseMs: 50 },
  { count: 1, path: '/download', keepAlive: false, body: 10 * MIB, pauseMs: 100 },
]

export interface LoadResult {
  /** Number of requests with a complete response. */
  readonly served: number
  /** A reason for each request without a complete response and for each failed WebSocket. */
  readonly lost: readonly string[]
  /** Number of WebSockets that were opened. */
  readonly opened: number
  /** Number of WebSockets that the server closed with 1012. */
  readonly restarted: number
}

export interface MixedLoad {
  /** Stops all clients. A second call returns the same result. */
  stop(): Promise<LoadResult>
  /**
   * Starts one request of each kind, 16 requests that take two seconds, 4 WebSockets, and 8 idle
   * connections after one request each. The function that it returns waits until all have finished
   * and returns a text for each failure.
   */
  launch(port: number): Promise<() => Promise<string[]>>
}

/** Starts the clients. `reportLoss` is called at once for each request that fails. */
export function startMixedLoad(port: number, reportLoss: (why: string) => void): MixedLoad {
  const lost: string[] = []
  let served = 0
  let isRunning = true
  const sockets = startSockets(port, SOCKETS)
  const loops = CLIENTS.flatMap((client) =>
    Array.from({ length: client.count }, () => runClient(client)),
  )

  async function runClient(client: Client): Promise<void> {
    const agent = client.keepAlive ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false
    while (isRunning) {
      const problem = await sendRequest(port, client, agent)
      if (problem === undefined) served += 1
      else {
        lost.push(problem)
        reportLoss(problem)
      }
      await new Promise((done) => setTimeout(done, client.pauseMs))
    }
    if (agent) agent.destroy()
  }

  return {
    async stop() {
      isRunning = false
      const { opened, restarted, lost: lostSockets } = await sockets.stop()
      await Promise.all(loops)
      return { served, opened, restarted, lost: [...lost, ...lostSockets] }
    },
    async launch(at) {
      const slow = { count: 16, path: '/slower', keepAlive: false, body: 'slower', pauseMs: 0 }
      const inFlight = [...CLIENTS, ...Array.from({ length: 16 }, () => slow)].map((client) =>
        sendRequest(at, client, false),
      )
      const idle = await Promise.all(Array.from({ length: 8 }, () => openIdle(at)))
      const open = await Promise.all([1, 2, 3, 4].map(() => openSocket(at)))
      const closes = open.map(async (socket) => {
        const code = await closeCodeOf(socket)
        return code === 1012 ? undefined : `WebSocket: closed with ${code}`
      })
      // By then every request is in its handler, and the slow ones have not finished.
      await new Promise((done) => setTimeout(done, 300))
      return async () =>
        (await Promise.all([...inFlight, ...closes, ...idle.map((one) => one.closed)])).filter(
          (problem) => problem !== undefined,
        )
    },
  }
}

/**
 * Opens a keep-alive connection, which is idle after one request. `closed` resolves to a text if
 * the connection fails, and to undefined if the server closes it in an orderly way.
 */
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

/**
 * Sends a request, calls `stop`, and sends a second request on the same keep-alive connection after
 * half a second. The result is `served` or why the second request failed.
 */
export async function sendLateRequest(port: number, stop: () => void): Promise<string> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const client = { count: 1, path: '/fast', keepAlive: true, body: 'ok', pauseMs: 0 }
  await sendRequest(port, client, agent)
  stop()
  await new Promise((done) => setTimeout(done, 500))
  const problem = await sendRequest(port, client, agent)
  agent.destroy()
  return problem ?? 'served'
}

/** Sends a request and checks the response; the result is the failure, if there is one. */
function sendRequest(
  port: number,
  client: Client,
  agent: http.Agent | false,
): Promise<string | undefined> {
  const { path, upload, body } = client
  return new Promise((done) => {
    const trace = new RequestTrace()
    const fail = (what: string) => done(`${path}: ${what}; ${trace.describe(request)}`)
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
      trace.onHead(response)
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        trace.onData(chunk.length)
        if (typeof body === 'string') text += chunk.toString()
      })
      response.on('end', () => {
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`)
        if (!response.complete) return fail('truncated')
        const isExpected = typeof body === 'string' ? text === body : length === body
        return isExpected ? done(undefined) : fail(`unexpected body of ${length} bytes`)
      })
      response.on('error', (error) => fail(`in the response: ${describeError(error)}`))
    })
    request.on('error', (error) => fail(describeError(error)))
    request.end(upload ? UPLOAD : undefined)
  })
}

function describeError(error: NodeJS.ErrnoException): string {
  return error.code === undefined ? error.message : `${error.code} ${error.message}`
}

/** Records the progress of a request, to describe it if it is lost. */
class RequestTrace {
  readonly #startedAt = performance.now()
  #worker = 'no worker'
  #length = 0
  /** When the head of the response arrived (performance.now). */
  #headAt: number | undefined
  #lastDataAt = this.#startedAt

  onHead(response: http.IncomingMessage): void {
    const { 'x-worker': worker, connection } = response.headers
    this.#worker = `worker ${worker}, connection: ${connection}`
    this.#headAt = this.#lastDataAt = performance.now()
  }

  onData(count: number): void {
    this.#length += count
    this.#lastDataAt = performance.now()
  }

  describe(request: http.ClientRequest): string {
    const since = (at: number) => `${Math.round(performance.now() - at)} ms`
    const socket = request.socket
    const kind = request.reusedSocket ? 'reused' : 'new'
    return [
      `at ${new Date().toISOString()}`,
      `started ${since(this.#startedAt)} ago on a ${kind} connection`,
      `from port ${socket?.localPort ?? '?'} (${socket?.bytesWritten ?? 0} bytes written)`,
      ...(this.#headAt === undefined
        ? ['no response head']
        : [
            `head from ${this.#worker} ${since(this.#headAt)} ago`,
            `${this.#length} bytes of the body, the last ${since(this.#lastDataAt)} ago`,
          ]),
    ].join(', ')
  }
}
