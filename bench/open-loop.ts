// An open loop: requests at a given rate, whether earlier ones have been answered or not. A client
// that has waited too long gives up and closes its connection.

import { createConnection, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const TICK_MS = 2

/** What has happened to the requests. */
export interface Outcomes {
  sent: number
  /** Responses with status 200 within the clients' patience, counted from the planned time. */
  answered: number
  /** Responses with status 503. */
  rejected: number
  givenUp: number
  /** Connections that failed or were closed without a response, and other statuses. */
  failed: number
  /** Milliseconds from the planned time to the response of `answered`. */
  times: number[]
  /** The share of the time in which the generator was busy. */
  utilization: number
}

interface Client {
  readonly socket: Socket
  /** When its request was due; `null` while it is idle. */
  due: number | null
}

export class OpenLoop {
  readonly #port: number
  readonly #patienceMs: number
  readonly #idle: Client[] = []
  /** Those that wait, in the order of their requests. */
  readonly #waiting = new Set<Client>()
  readonly #outcomes: Outcomes = {
    ...{ sent: 0, answered: 0, rejected: 0, givenUp: 0, failed: 0, times: [], utilization: 0 },
  }
  #onIdle: (client: Client) => void = (client) => this.#idle.push(client)

  constructor({ port, patienceMs }: { port: number; patienceMs: number }) {
    this.#port = port
    this.#patienceMs = patienceMs
  }

  /** Sends requests for a time, with random gaps, and waits until all have an outcome. */
  async run({ perSecond, seconds }: { perSecond: number; seconds: number }): Promise<Outcomes> {
    const before = performance.eventLoopUtilization()
    const started = performance.now()
    let due = started
    while (due < started + seconds * 1000) {
      const now = performance.now()
      this.#giveUp(now)
      while (due <= now) {
        this.#send(due)
        due -= (Math.log(1 - Math.random()) * 1000) / perSecond
      }
      await wait(TICK_MS)
    }
    this.#outcomes.utilization = performance.eventLoopUtilization(before).utilization
    return await this.#finish()
  }

  /** Sends requests at once, and waits until all have an outcome. */
  async burst(count: number): Promise<Outcomes> {
    for (let sent = 0; sent < count; sent += 1) this.#send(performance.now())
    return await this.#finish()
  }

  /** Sends the next request of each connection after its response; returns the rate. */
  async runClosed(load: { connections: number; milliseconds: number }): Promise<number> {
    let isOver = false
    this.#onIdle = (client) => {
      if (!isOver) this.#request(client, performance.now())
    }
    for (let count = 0; count < load.connections; count += 1) {
      this.#request(this.#connect(), performance.now())
    }
    await wait(load.milliseconds / 4)
    const [started, before] = [performance.now(), this.#outcomes.answered]
    await wait(load.milliseconds)
    const rate = ((this.#outcomes.answered - before) * 1000) / (performance.now() - started)
    isOver = true
    for (const { socket } of this.#waiting) socket.destroy()
    return rate
  }

  #send(due: number): void {
    this.#request(this.#idle.pop() ?? this.#connect(), due)
  }

  #request(client: Client, due: number): void {
    this.#outcomes.sent += 1
    client.due = due
    this.#waiting.add(client)
    client.socket.write(REQUEST)
  }

  #connect(): Client {
    const socket = createConnection({ port: this.#port, host: '127.0.0.1', noDelay: true })
    const client: Client = { socket, due: null }
    socket.on('data', (data) => this.#receive(client, data))
    socket.on('error', () => {})
    socket.on('close', () => {
      const at = this.#idle.indexOf(client)
      if (at >= 0) this.#idle.splice(at, 1)
      if (this.#waiting.delete(client)) this.#outcomes.failed += 1
    })
    return client
  }

  #receive(client: Client, data: Buffer): void {
    // Responses are short: they arrive in one piece.
    const { due } = client
    if (due === null || !this.#waiting.delete(client)) return
    client.due = null
    const status = data.toString('latin1', 9, 12)
    const ms = performance.now() - due
    if (status === '503') this.#outcomes.rejected += 1
    else if (status !== '200') this.#outcomes.failed += 1
    else if (ms > this.#patienceMs) this.#outcomes.givenUp += 1
    else {
      this.#outcomes.answered += 1
      this.#outcomes.times.push(ms)
    }
    if (/^connection: close/im.test(data.toString('latin1'))) client.socket.destroy()
    else this.#onIdle(client)
  }

  #giveUp(now: number): void {
    for (const client of this.#waiting) {
      if (now - (client.due ?? now) < this.#patienceMs) return
      this.#waiting.delete(client)
      this.#outcomes.givenUp += 1
      client.socket.destroy()
    }
  }

  async #finish(): Promise<Outcomes> {
    while (this.#waiting.size > 0) {
      await wait(TICK_MS)
      this.#giveUp(performance.now())
    }
    for (const { socket } of this.#idle.splice(0)) socket.destroy()
    return this.#outcomes
  }
}
